/** Every page in every look: nothing cut, nothing untranslated, no error, no foreign request, and clean for axe. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page, WebSocketRoute } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask, type Browser, openBrowser, type Switch, signIn, theSwitch } from './browser';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
let at: Switch;

beforeAll(async () => {
  at = await theSwitch();
});
afterAll(() => at?.stop());

interface Look {
  name: string;
  width: number;
  height: number;
  dark?: boolean;
  language?: string;
}

const LOOKS: Look[] = [
  { name: 'light', width: 1440, height: 900 },
  { name: 'dark', width: 1440, height: 900, dark: true },
  { name: 'phone', width: 390, height: 844 },
  { name: 'es', width: 1440, height: 900, language: 'es' },
  { name: 'zh', width: 1440, height: 900, language: 'zh' },
];

/** A call may end while it is looked at. */
const mayEnd = (url: string) => /\/api\/v1\/calls\/[^/]+$/.test(url);

type Step = [name: string, path: string, act?: (page: Page) => Promise<unknown>];

/** All pages, the drawers and the dialogs; those of things that this switch does not have are left out, and it says so. */
async function stepsOf(page: Page): Promise<Step[]> {
  const first = async (path: string) => (await ask<{ items: { id: string }[] }>(page, 'GET', path)).items[0]?.id;
  const steps: Step[] = [
    ['overview', '/'],
    ['calls', '/calls'],
    ['records', '/records?range=1h&ended_by=callee'],
    ['reports', '/reports'],
    ['report by hour', '/reports?report=quality_by_hour'],
    ['settlement', '/reports?report=account_clearing_balance&tz=UTC'],
    ['accounts', '/accounts'],
    ['new account', '/accounts/new'],
    ['mapping gateways', '/mapping-gateways'],
    ['new mapping gateway', '/mapping-gateways/new'],
    ['routing gateways', '/routing-gateways'],
    ['new routing gateway', '/routing-gateways/new'],
    ['phones', '/phones'],
    ['new phone', '/phones/new'],
    ['registrations', '/registrations'],
    ['changes', '/changes'],
    ['gateway groups', '/gateway-groups'],
    ['number lists', '/number-lists'],
    ['calendars', '/calendars'],
    ['new calendar', '/calendars', (p) => p.locator('.page-head-right .ant-btn-primary').first().click()],
    ['rate groups', '/rates'],
    ['simulate', '/simulate'],
    ['parameters', '/parameters'],
    ['users', '/users'],
    ['user', '/users', (p) => p.locator('.grid-body .grid-row').first().click()],
    ['roles', '/users?tab=roles'],
    ['role', '/users?tab=roles', (p) => p.locator('.grid-body .grid-row').first().click()],
    ['keys', '/users?tab=keys'],
    ['access', '/users?tab=access'],
    ['audit', '/audit'],
    ['audit entry', '/audit', (p) => p.locator('.grid-body .grid-row').first().click()],
    [
      'own password',
      '/status',
      (p) =>
        p
          .locator('.top .icon-button')
          .last()
          .click()
          .then(() => p.locator('.ant-dropdown-menu-item').first().click()),
    ],
    ['status', '/status'],
    ['missing', '/no/such/page'],
    ['jump', '/status', (p) => p.keyboard.press('Control+k').then(() => p.locator('.jump-list').waitFor())],
    ['help', '/status', (p) => p.keyboard.press('?').then(() => p.locator('.keys').waitFor())],
    ['parameter', '/parameters', (p) => p.locator('.grid-body .grid-row').first().click()],
  ];
  const need = async (name: string, list: string, path: (id: string) => string, act?: Step[2]) => {
    const id = await first(list);
    if (id) steps.push([name, path(id), act]);
    else console.warn(`left out: ${name}; ${list} is empty on this switch`);
  };
  await need('call', '/calls?limit=1', (id) => `/calls?call=${id}`);
  await need('answered record', '/cdrs?limit=1&answered=true', (id) => `/records/${id}`);
  await need('failed record', '/cdrs?limit=1&answered=false', (id) => `/records/${id}`);
  await need('account', '/accounts?limit=1', (id) => `/accounts/${id}`);
  await need('account settings', '/accounts?limit=1', (id) => `/accounts/${id}?tab=settings`);
  await need(
    'payment',
    '/accounts?limit=1',
    (id) => `/accounts/${id}`,
    (p) => p.locator('.page-head-right .ant-btn-primary').first().click(),
  );
  await need('mapping gateway', '/mapping-gateways?limit=1', (id) => `/mapping-gateways/${id}`);
  await need('routing gateway', '/routing-gateways?limit=1', (id) => `/routing-gateways/${id}`);
  await need('phone', '/phones?limit=1', (id) => `/phones/${id}`);
  const openFirst = (p: Page) => p.locator('.grid-body .grid-row').first().click();
  await need('registration', '/registrations?limit=1', () => '/registrations', openFirst);
  await need('messages', '/cdrs?limit=1', (id) => `/records/${id}`, openMessage);
  await need('number list', '/number-lists?limit=1', () => '/number-lists', openFirst);
  await need('rate imports', '/rate-groups?limit=1', (id) => `/rates/${id}/imports`);
  await need('rates', '/rate-groups?limit=1', (id) => `/rates/${id}`);
  return steps;
}

/** Opens the first message of the ladder, if the switch still holds one. */
async function openMessage(page: Page) {
  const message = page.locator('.messages .link-button').first();
  if (await message.count()) await message.click();
}

/** What serious findings axe has, in one line each. */
async function axe(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    type Found = { id: string; impact: string; nodes: { target: string[]; failureSummary: string }[] };
    const runner = (globalThis as unknown as { axe: { run(o: object): Promise<{ violations: Found[] }> } }).axe;
    const { violations } = await runner.run({ resultTypes: ['violations'] });
    return violations
      .filter((v) => v.impact === 'serious' || v.impact === 'critical')
      .map(
        (v) =>
          `${v.id}: ${v.nodes.map((n) => `${n.target.join(' ')} (${n.failureSummary.split('\n')[1]?.trim()})`).join('; ')}`,
      );
  });
}

/** Headers, states, buttons and key figures that are wider than their place. */
const cutTexts = (page: Page) =>
  page.evaluate(() =>
    [
      ...document.querySelectorAll<HTMLElement>(
        '[role=columnheader], [role=columnheader] > *, .state, .ant-btn, .nav-link, .kpi-value, .kpi-name, .ant-segmented-item-label',
      ),
    ]
      .filter(
        (e) => e.offsetParent !== null && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline',
      )
      .map((e) => e.innerText),
  );

const untranslated = (page: Page) =>
  page.evaluate(() =>
    (document.body.innerText.match(/^[a-z]+\.[a-zA-Z.]+$|\bundefined\b|\bNaN\b|\[object /gm) ?? []).filter(
      (text) => text !== '',
    ),
  );

test.each(LOOKS)('every page in $name', { timeout: 400_000 }, async ({ name, ...look }) => {
  const browser = await openBrowser(look);
  const problems: string[] = [];
  let step = 'sign-in';
  const report = (words: string) => problems.push(`${step}: ${words}`);
  try {
    const page = await browser.context.newPage();
    await page.goto(at.url);
    await page.locator('button[type=submit]').waitFor();
    for (const finding of await axe(page)) report(finding);
    await signIn(page, at);
    page.on(
      'console',
      (message) =>
        message.type() === 'error' &&
        !message.text().startsWith('Failed to load') &&
        report(`console: ${message.text()}`),
    );
    page.on('pageerror', (error) => report(`error: ${error.message}`));
    page.on(
      'request',
      (request) =>
        !request.url().startsWith(at.url) && !request.url().startsWith('data:') && report(`foreign: ${request.url()}`),
    );
    page.on(
      'response',
      (response) =>
        response.status() >= 400 && !mayEnd(response.url()) && report(`${response.status()}: ${response.url()}`),
    );
    for (const [title, path, act] of await stepsOf(page)) {
      step = title;
      await page.goto(at.url + path);
      await page.locator('.page-title').waitFor();
      await page.waitForTimeout(700);
      await act?.(page);
      if (act) await page.waitForTimeout(300);
      if (name !== 'phone') for (const text of await cutTexts(page)) report(`cut: ${text}`);
      for (const text of await untranslated(page)) report(`untranslated: ${text}`);
      const overflow = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      if (overflow > 0) report(`the page is ${overflow} px wider than the screen`);
      // Contrast and labels do not depend on the language.
      if (!look.language) for (const finding of await axe(page)) report(finding);
    }
  } finally {
    await browser.close();
  }
  expect(problems).toEqual([]);
});

test('theme and language are kept, and the wish of the system is obeyed before anything is drawn', async () => {
  const browser = await openBrowser({ dark: true });
  try {
    const page = await browser.context.newPage();
    await page.goto(at.url, { waitUntil: 'commit' });
    await page.locator('button[type=submit]').waitFor();
    const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
    expect(await theme()).toBe('dark');
    await page.getByRole('button', { name: 'Theme' }).click();
    await page.getByText('Light', { exact: true }).click();
    await expect.poll(theme).toBe('light');
    await page.getByRole('button', { name: 'Language' }).click();
    await page.getByText('Español').click();
    await page.getByRole('button', { name: 'Entrar' }).waitFor();
    await page.reload();
    await page.getByRole('button', { name: 'Entrar' }).waitFor();
    expect(await theme()).toBe('light');
    expect(await page.evaluate(() => document.documentElement.lang)).toBe('es');
  } finally {
    await browser.close();
  }
});

test('a silent switch is stale, then disconnected, and live again without a reload', async () => {
  const browser: Browser = await openBrowser();
  try {
    const page = await browser.context.newPage();
    let silent = false;
    const sockets: WebSocketRoute[] = [];
    await page.routeWebSocket('**/api/v1/live', (socket) => {
      if (silent) return void socket.close();
      const server = socket.connectToServer();
      sockets.push(server);
      server.onMessage((message) => {
        if (!silent) socket.send(message);
      });
    });
    await signIn(page, at);
    const state = (name: string) => page.locator(`[data-live=${name}]`).waitFor({ timeout: 15_000 });
    await state('live');
    silent = true;
    await state('stale');
    await state('down');
    silent = false;
    await state('live');
    expect(sockets.length).toBeGreaterThan(1);
  } finally {
    await browser.close();
  }
});

test('on a phone the navigation is behind one button', async () => {
  const browser = await openBrowser({ width: 390, height: 844 });
  try {
    const page = await browser.context.newPage();
    await signIn(page, at);
    await page.getByRole('button', { name: 'Menu' }).click();
    await page.locator('.ant-drawer').getByRole('link', { name: 'Accounts' }).click();
    await page.waitForURL('**/accounts');
    await page.locator('.ant-drawer .nav-link').first().waitFor({ state: 'hidden' });
  } finally {
    await browser.close();
  }
});
