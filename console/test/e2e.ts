/** What an operator does, in a real browser, against the switch of TANDEM_URL or the fake one. */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, type TestContext, test } from 'vitest';
import type { Account, Call, Cdr, LedgerEntry, MappingGateway } from '../src/api/resources';
import { add, decimal, toText, trim } from '../src/lib/decimal';
import { ask, type Browser, openBrowser, type Switch, signIn, theSwitch } from './browser';

let at: Switch;
let browser: Browser;
let page: Page;
const STAMP = Date.now().toString(36);
const NAME = `e2e-${STAMP}`;

type Items<T> = { items: T[]; total?: number | null };

beforeAll(async () => {
  at = await theSwitch();
  browser = await openBrowser();
  page = await browser.context.newPage();
  await signIn(page, at);
});
afterAll(async () => {
  await browser?.close();
  await at?.stop();
});

const open = (path: string) => page.goto(at.url + path);
const rows = () => page.locator('.grid-body .grid-row');
const total = async (path: string) => (await ask<Items<unknown>>(page, 'GET', path)).total ?? 0;
const modal = () => page.locator('.ant-modal');
const toast = (text: string) => page.getByText(text).first().waitFor();

/** Some tests need traffic; a switch without any says so instead of failing. */
async function needCalls(context: TestContext) {
  if ((await ask<Items<Call>>(page, 'GET', '/calls?limit=1')).items.length === 0)
    context.skip('no calls are in progress on this switch');
}

async function needRecords(context: TestContext, query: string): Promise<Cdr> {
  const found = (await ask<Items<Cdr>>(page, 'GET', `/cdrs?limit=1&${query}`)).items[0];
  if (!found) context.skip(`no call record with ${query} on this switch`);
  return found as Cdr;
}

/** Opens the dialog for a call that is being held; calls may end while they are chosen, so a few are tried. */
async function openTalking(): Promise<Call | null> {
  const { items } = await ask<Items<Call>>(page, 'GET', '/calls?limit=5&state=talking&sort=-start');
  for (const call of items) {
    await open(`/calls?call=${call.id}`);
    const button = page.locator('.ant-drawer').getByRole('button', { name: 'Disconnect' });
    if (
      await button.click({ timeout: 3_000 }).then(
        () => true,
        () => false,
      )
    )
      return call;
  }
  return null;
}

async function pickOption(label: string, option: string) {
  const input = page.getByLabel(label, { exact: true }).first();
  await input.click();
  if (await input.isEditable()) await input.fill(option);
  await page.locator(`.ant-select-item-option[title="${option}"]:visible`).first().click();
}

test('a wrong password is refused in words, the right one leads in, and signing out leads out', async () => {
  const other = await openBrowser();
  try {
    const stranger = await other.context.newPage();
    await stranger.goto(`${at.url}/accounts`);
    await stranger.locator('input[autocomplete=username]').fill(at.user);
    await stranger.locator('input[autocomplete=current-password]').fill('not it');
    await stranger.locator('button[type=submit]').click();
    await stranger.getByText('User or password is wrong.').waitFor();
    await stranger.locator('input[autocomplete=current-password]').fill(at.password);
    await stranger.locator('button[type=submit]').click();
    await stranger.getByRole('heading', { name: 'Accounts' }).waitFor();
    await stranger.getByRole('button', { name: at.user }).click();
    await stranger.getByText('Sign out').click();
    await stranger.locator('input[autocomplete=username]').waitFor();
    expect((await stranger.request.get(`${at.url}/api/v1/status`)).status()).toBe(401);
  } finally {
    await other.close();
  }
});

test('the overview has seven key figures, three charts and moves each second', async () => {
  await open('/');
  await page.locator('.kpi').first().waitFor();
  expect(await page.locator('.kpi-value').count()).toBe(7);
  for (const text of await page.locator('.kpi-value').allInnerTexts()) expect(text.trim()).not.toBe('');
  expect(await page.locator('[role=img].chart').count()).toBe(3);
  await page.getByRole('button', { name: 'Concurrent calls: as table' }).click();
  await page.getByRole('button', { name: 'Concurrent calls: as chart' }).click();
  await page.locator('[data-live=live]').waitFor();
});

test('current calls: rows at once, durations that tick, few rows in the document', async (context) => {
  await needCalls(context);
  await open('/calls');
  await rows().first().waitFor({ timeout: 4_000 });
  await page.locator('[data-total]').waitFor();
  expect(await rows().count()).toBeLessThanOrEqual(80);
  const durations = () => page.locator('.grid-body .grid-row > :nth-child(2)').allInnerTexts();
  const before = (await durations()).join();
  await expect.poll(async () => (await durations()).join(), { timeout: 3_000 }).not.toBe(before);
  const shown = Number(await page.locator('[data-total]').getAttribute('data-total'));
  expect(Math.abs(shown - (await total('/calls?limit=1')))).toBeLessThanOrEqual(Math.max(5, shown / 5));
});

test('a filter goes to the address, survives a reload, and Back undoes it', async (context) => {
  await needCalls(context);
  await open('/calls');
  await rows().first().waitFor();
  const caller = await page.locator('.grid-body .grid-row > :nth-child(3)').first().innerText();
  await page.keyboard.press('/');
  await page.keyboard.type(caller);
  await page.waitForURL((url) => url.searchParams.get('q') === caller);
  const allMatch = async () =>
    (await page.locator('.grid-body .grid-row').allInnerTexts()).every((text) => text.includes(caller));
  await expect.poll(allMatch).toBe(true);
  await page.reload();
  expect(await page.locator('input[data-filter]').inputValue()).toBe(caller);
  await page.goBack();
  await expect.poll(() => page.locator('input[data-filter]').inputValue()).toBe('');
});

test('keyboard only: go to the calls, open one, close it, and be where one was', async (context) => {
  await needCalls(context);
  await open('/');
  await page.locator('.kpi').first().waitFor();
  await page.keyboard.press('g');
  await page.keyboard.press('c');
  await page.waitForURL(/\/calls/);
  await rows().first().waitFor();
  await page.keyboard.press('/');
  await page.keyboard.press('Escape');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowRight');
  expect(await page.locator('.grid-cell-active').count()).toBe(1);
  await page.keyboard.press('Enter');
  await page.locator('.ant-drawer .legs').waitFor();
  await page.keyboard.press('Escape');
  await page.locator('.ant-drawer .legs').waitFor({ state: 'detached' });
  await expect.poll(() => page.evaluate(() => document.activeElement?.getAttribute('role'))).toBe('grid');
});

// Again, because a call may end by itself while it is being disconnected.
test('disconnecting needs a reason, cuts the call, and the record says who did it and why', {
  retry: 2,
}, async (context) => {
  await needCalls(context);
  const talking = await openTalking();
  if (!talking) return context.skip('nobody is talking on this switch');
  await modal().getByRole('button', { name: 'Disconnect' }).click();
  await modal().getByText('This is needed.').waitFor();
  await pickOption('Reason', 'Maintenance');
  await page.getByLabel('In words').fill(NAME);
  await modal().getByRole('button', { name: 'Disconnect' }).click();
  await toast('Disconnected.');
  await page.getByText('This call has ended.').waitFor();
  const record = () => ask<Cdr>(page, 'GET', `/cdrs/${talking.id}`).catch(() => null);
  await expect.poll(async () => (await record())?.end_reason, { timeout: 10_000 }).toBe('killed_by_operator');
  expect((await record())?.end_text).toContain(NAME);
});

test('call records: a number finds its calls, and the analysis adds up', async (context) => {
  const wanted = await needRecords(context, 'answered=true');
  await open(`/records?q=${wanted.callee}`);
  await rows().first().waitFor();
  for (const text of await rows().allInnerTexts()) expect(text).toContain(wanted.callee);
  await open(`/records/${wanted.id}`);
  await page.locator('svg.ladder').waitFor();
  const labels = (await page.locator('.ladder-label').allTextContents()).map((text) => text.trim());
  expect(labels[0]).toBe('INVITE');
  expect(labels.at(-1)).toContain('BYE');
  for (const table of await page.locator('table:has(.table-total)').all()) {
    const cells = (await table.locator('tbody td:last-child').allInnerTexts()).map((c) =>
      decimal(c.replace('\u2212', '-').replaceAll(',', '')),
    );
    const sum = cells.slice(0, -1).reduce(add, decimal('0'));
    expect(toText(trim(sum, 10))).toBe(toText(trim(cells.at(-1) ?? decimal('0'), 10)));
  }
  expect(await page.locator('table[data-candidates] tbody tr').count()).toBeGreaterThan(0);
});

test('an account: created, paid exactly once by a double click, changed, and a conflict is not overwritten', async () => {
  await open('/accounts');
  await page.getByRole('button', { name: 'Add account' }).click();
  await page.getByRole('button', { name: 'Create' }).click();
  await page.getByText('This is needed.').first().waitFor();
  await page.getByLabel('Name', { exact: true }).fill(NAME);
  await page.getByLabel('Opening balance').fill('10.50');
  await page.getByRole('button', { name: 'Create' }).click();
  await page.getByRole('heading', { name: new RegExp(NAME) }).waitFor();
  const account = await ask<Account>(page, 'GET', `/accounts/${NAME}`);
  const balance = async () =>
    toText(trim(decimal((await ask<Account>(page, 'GET', `/accounts/${account.id}`)).balance), 2));
  // The account stands first, the money follows it through the journal.
  await expect.poll(balance).toBe('10.50');

  await page.getByRole('button', { name: 'Add payment' }).click();
  await modal().getByLabel('Amount').fill('100.10');
  await modal().getByLabel('Reference, note').fill('e2e reference');
  await expect.poll(() => page.locator('[data-after]').innerText()).toContain('110.60');
  await modal().getByRole('button', { name: 'Book' }).dblclick();
  await toast('Booked.');
  await expect.poll(balance).toBe('110.60');
  // The ledger is read from the database, which follows the journal by a moment.
  const referenced = async () =>
    (await ask<Items<LedgerEntry>>(page, 'GET', `/accounts/${account.id}/ledger`)).items.filter(
      (e) => e.note === 'e2e reference',
    ).length;
  await expect.poll(referenced).toBe(1);
  await page.getByText('e2e reference').first().waitFor();

  await page.getByRole('tab', { name: 'Settings' }).click();
  await page.getByLabel('Concurrency limit').fill('7');
  await page.getByText('Changed (1)').waitFor();
  await page.keyboard.press('Control+s');
  await toast('Saved.');
  await expect.poll(async () => (await ask<Account>(page, 'GET', `/accounts/${account.id}`)).max_concurrency).toBe(7);

  await page.getByText('No changes').waitFor();
  await page.getByLabel('CPS limit').fill('3');
  // Everything but the figures, which are not an operator's to set.
  const {
    id,
    version,
    balance: _,
    reserved: __,
    available: ___,
    calls: ____,
    state: _____,
    income: ______,
    low: _______,
    owed: ________,
    prepaid_left: _________,
    ...input
  } = await ask<Account>(page, 'GET', `/accounts/${account.id}`);
  await page.route('**/api/v1/accounts/*', (route) =>
    route.request().method() === 'GET' ? route.abort() : route.continue(),
  );
  await ask(page, 'PUT', `/accounts/${id}`, { ...input, notes: 'changed elsewhere' }, { 'if-match': `"${version}"` });
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Someone else saved this in the meantime.').waitFor();
  await page.unroute('**/api/v1/accounts/*');
  await page.getByRole('button', { name: 'Save mine over it' }).click();
  await expect.poll(async () => (await ask<Account>(page, 'GET', `/accounts/${account.id}`)).max_cps).toBe(3);
});

test('a mapping gateway: created for the account, found by the jump box, with a parameter of its own', async () => {
  await open('/mapping-gateways/new');
  await page.getByLabel('Name', { exact: true }).fill(`${NAME}-in`);
  await pickOption('Account', NAME);
  await page.getByLabel('Addresses').fill('192.0.2.199');
  await page.keyboard.press('Enter');
  await pickOption('Override a parameter', 'SS_SIP_TIMEOUT_RINGING');
  await page.getByRole('textbox', { name: 'SS_SIP_TIMEOUT_RINGING' }).fill('45');
  await page.getByRole('button', { name: 'Create' }).click();
  await page.getByRole('heading', { name: new RegExp(`${NAME}-in`) }).waitFor();
  const made = await ask<MappingGateway>(page, 'GET', `/mapping-gateways/${NAME}-in`);
  expect(made.parameters).toEqual({ SS_SIP_TIMEOUT_RINGING: '45' });
  expect(made.addresses).toEqual(['192.0.2.199']);

  await open('/');
  await page.locator('.kpi').first().waitFor();
  await page.keyboard.press('Control+k');
  await page.keyboard.type(`${NAME}-in`);
  await page.getByRole('option', { name: new RegExp(`${NAME}-in`) }).waitFor();
  await page.keyboard.press('Enter');
  await page.waitForURL(`**/mapping-gateways/${made.id}`);
});

test('a routing gateway: a complaint of the server stands at its field', async () => {
  await open('/routing-gateways/new');
  await page.getByLabel('Name', { exact: true }).fill(`${NAME}-out`);
  await page.getByRole('button', { name: 'Create' }).click();
  await page.getByText('This is needed.').first().waitFor();
  await pickOption('Account', NAME);
  await page.getByLabel('Address', { exact: true }).fill('192.0.2.200:5060');
  await page.getByLabel('Prefixes', { exact: true }).fill('99877');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Create' }).click();
  await page.getByRole('heading', { name: new RegExp(`${NAME}-out`) }).waitFor();
  await open('/routing-gateways/new');
  await page.getByLabel('Name', { exact: true }).fill(`${NAME}-out`);
  await pickOption('Account', NAME);
  await page.getByLabel('Address', { exact: true }).fill('192.0.2.200:5060');
  await page.getByRole('button', { name: 'Create' }).click();
  await page.locator('.ant-form-item-has-error, [role=alert]').first().waitFor();
});

test('rates: a group and a rate, found by its prefix, changed, deleted', async () => {
  await open('/rates');
  await page.getByRole('button', { name: 'Add rate group' }).first().click();
  await page.getByLabel('Name', { exact: true }).fill(`${NAME}-rates`);
  await page.getByRole('button', { name: 'Create' }).click();
  await page.getByRole('heading', { name: new RegExp(`${NAME}-rates`) }).waitFor();
  await page.getByRole('button', { name: 'Add rate' }).first().click();
  await page.getByLabel('Prefix', { exact: true }).fill('99877');
  await page.getByLabel('Destination').fill('Testland');
  await page.getByLabel('Rate/min').fill('0,02');
  await page.getByRole('button', { name: 'Create' }).click();
  await page.getByText('An amount like 12.50.').waitFor();
  await page.getByLabel('Rate/min').fill('0.020500');
  await page.getByRole('button', { name: 'Create' }).click();
  await page.getByText('0.0205', { exact: true }).waitFor();
  await page.locator('input[data-filter]').fill('998');
  await page.waitForURL(/q=998/);
  await rows().first().click();
  await page.getByLabel('Rate/min').fill('0.03');
  await page.locator('.ant-drawer').getByRole('button', { name: 'Save' }).click();
  await page.getByText('0.0300', { exact: true }).waitFor();
  await rows().first().click();
  await page.locator('.ant-drawer').getByRole('button', { name: 'Delete' }).click();
  await modal().getByRole('button', { name: 'Delete' }).click();
  await toast('Deleted.');
  await expect.poll(() => total(`/rate-groups/${NAME}-rates/rates`)).toBe(0);
});

test('a simulation answers with its steps, and can be sent as a link', async () => {
  await open('/simulate');
  await pickOption('Mapping gateway', `${NAME}-in · ${NAME}`);
  await page.getByLabel('Caller').fill('34911000111');
  await page.getByLabel('Callee').fill('99877123456');
  await page.getByRole('button', { name: 'Run' }).click();
  await page.locator('[data-outcome]').waitFor();
  expect(await page.locator('table[data-steps] tbody tr').count()).toBeGreaterThan(0);
  const outcome = await page.locator('[data-outcome]').getAttribute('data-outcome');
  await page.reload();
  await page.locator(`[data-outcome=${outcome}]`).waitFor();
});

test('a parameter is found, refused outside its range, set, and set back', async () => {
  await open('/parameters');
  await rows().first().waitFor();
  await page.locator('input[data-filter]').fill('timeout_ringing');
  await page.waitForURL(/q=timeout_ringing/);
  await expect.poll(() => rows().count()).toBe(1);
  await rows().first().click();
  await page.getByLabel('Value (s)').fill('soon');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.locator('.ant-form-item-explain-error').waitFor();
  await page.getByLabel('Value (s)').fill('119');
  await page.getByRole('button', { name: 'Save' }).click();
  await toast('Saved.');
  await rows().first().click();
  await page.getByRole('button', { name: 'Set to default' }).click();
  await expect
    .poll(
      async () =>
        (await ask<{ name: string; changed: boolean }[]>(page, 'GET', '/parameters')).find(
          (p) => p.name === 'SS_SIP_TIMEOUT_RINGING',
        )?.changed,
    )
    .toBe(false);
});

test('the stored data are checked on request', async () => {
  await open('/status');
  await page.getByRole('button', { name: 'Check now' }).click();
  await page.locator('[data-check=true]').waitFor();
});

test('what the test made is deleted through the console', async () => {
  for (const [path, name] of [
    [`/mapping-gateways/${NAME}-in`, `${NAME}-in`],
    [`/routing-gateways/${NAME}-out`, `${NAME}-out`],
  ] as const) {
    const { id } = await ask<{ id: string }>(page, 'GET', path);
    await open(`${path.split('/').slice(0, 2).join('/')}/${id}`);
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.locator('.ant-modal-confirm-title').getByText(`Delete ${name}?`).waitFor();
    await modal().getByRole('button', { name: 'Delete' }).click();
    await page.waitForURL((url) => url.pathname.split('/').length === 2);
  }
  await ask(page, 'DELETE', `/rate-groups/${NAME}-rates`);
});
