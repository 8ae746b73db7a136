/** Pictures of every page, to be looked at: light, dark and a phone, into the folder SHOTS. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, test } from 'vitest';
import { ask, openBrowser, type Switch, signIn, theSwitch } from './browser';

const FOLDER = process.env.SHOTS ?? '/tmp/tandem-shots';
const ONLY = process.env.ONLY;
let at: Switch;

beforeAll(async () => {
  mkdirSync(FOLDER, { recursive: true });
  at = await theSwitch();
});
afterAll(() => at?.stop());

type Items<T> = { items: T[] };

async function pagesOf(page: Page): Promise<[name: string, path: string, act?: (page: Page) => Promise<void>][]> {
  const one = async (path: string) => (await ask<Items<{ id: string }>>(page, 'GET', path)).items[0]?.id ?? 'new';
  const [call, record, account, mapping, routing, group] = await Promise.all(
    [
      '/calls?limit=1',
      '/cdrs?limit=1&answered=true',
      '/accounts?limit=1',
      '/mapping-gateways?limit=1',
      '/routing-gateways?limit=1',
      '/rate-groups?limit=1',
    ].map(one),
  );
  const failed = await one('/cdrs?limit=1&answered=false');
  const gateway = (await ask<Items<{ name: string }>>(page, 'GET', '/mapping-gateways?limit=1')).items[0]?.name ?? '';
  return [
    ['overview', '/'],
    ['calls', '/calls'],
    ['call', `/calls?call=${call}`],
    ['disconnect', `/calls?call=${call}`, async (p) => p.locator('.ant-drawer .ant-btn-dangerous').click()],
    ['records', '/records?range=1h&ended_by=callee'],
    ['record', `/records/${record}`],
    ['record-failed', `/records/${failed}`],
    ['accounts', '/accounts'],
    ['account', `/accounts/${account}`],
    ['account-settings', `/accounts/${account}?tab=settings`],
    ['payment', `/accounts/${account}`, (p) => p.locator('.page-head-right .ant-btn-primary').first().click()],
    ['mapping-gateways', '/mapping-gateways'],
    ['mapping-gateway', `/mapping-gateways/${mapping}`],
    ['routing-gateways', '/routing-gateways'],
    ['routing-gateway', `/routing-gateways/${routing}`],
    ['phones', '/phones'],
    ['phone', `/phones/${await one('/phones?limit=1')}`],
    ['registration', '/registrations', (p) => p.locator('.grid-body .grid-row').first().click()],
    ['changes', '/changes'],
    ['change', '/changes', (p) => p.locator('.grid-body .grid-row').first().click()],
    ['gateway-groups', '/gateway-groups'],
    ['number-list', '/number-lists', (p) => p.locator('.grid-body .grid-row').first().click()],
    ['calendar', '/calendars', (p) => p.locator('.grid-body .grid-row').first().click()],
    ['imports', `/rates/${group}/imports`],
    ['rate-groups', '/rates'],
    ['rates', `/rates/${group}`],
    ['rate', `/rates/${group}`, (p) => p.locator('.grid-body .grid-row').first().click()],
    ['simulate', `/simulate?gateway=${encodeURIComponent(gateway)}&caller=34911000111&called=8801712345678`],
    ['parameters', '/parameters'],
    ['parameter', '/parameters', (p) => p.locator('.grid-body .grid-row').nth(1).click()],
    ['users', '/users'],
    ['user', '/users', (p) => p.locator('.grid-body .grid-row').nth(1).click()],
    ['roles', '/users?tab=roles'],
    ['role', '/users?tab=roles', (p) => p.locator('.grid-body .grid-row').nth(2).click()],
    ['keys', '/users?tab=keys'],
    ['access', '/users?tab=access'],
    ['audit', '/audit'],
    ['audit-entry', '/audit', (p) => p.locator('.grid-body .grid-row').nth(1).click()],
    ['status', '/status'],
    ['jump', '/', (p) => p.keyboard.press('Control+k')],
    ['help', '/', (p) => p.keyboard.press('?')],
  ];
}

const LOOKS = [
  { name: 'light', width: 1440, height: 900 },
  { name: 'dark', width: 1440, height: 900, dark: true },
  { name: 'phone', width: 390, height: 844 },
  { name: 'es', width: 1280, height: 720, language: 'es' },
  { name: 'zh', width: 1280, height: 720, language: 'zh', dark: true },
].filter((look) => !process.env.LOOK || process.env.LOOK.split(',').includes(look.name));

test.each(LOOKS)('$name', async ({ name, ...look }) => {
  const browser = await openBrowser(look);
  try {
    const page = await browser.context.newPage();
    await page.goto(at.url);
    await page.locator('button[type=submit]').waitFor();
    await page.screenshot({ path: join(FOLDER, `${name}-sign-in.png`) });
    await signIn(page, at);
    for (const [file, path, act] of await pagesOf(page)) {
      if (ONLY && !ONLY.split(',').includes(file)) continue;
      await page.goto(at.url + path);
      await page.waitForTimeout(1_300);
      await act?.(page).catch((error: unknown) => console.warn(`${name}-${file}: ${String(error).slice(0, 200)}`));
      if (act) await page.waitForTimeout(400);
      await page.screenshot({ path: join(FOLDER, `${name}-${file}.png`) });
    }
  } finally {
    await browser.close();
  }
});
