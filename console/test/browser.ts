/** The distribution's Chromium, driven without any download, and the switch that it looks at. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium, type Page } from 'playwright-core';
import { PASSWORD, startFake, USER } from './fake-server';

export interface Switch {
  url: string;
  user: string;
  password: string;
  isFake: boolean;
  stop(): Promise<void>;
}

/** The switch named by the environment; without one, the fake. */
export async function theSwitch(): Promise<Switch> {
  const { TANDEM_URL: url, TANDEM_USER: user = 'admin', TANDEM_PASSWORD: password } = process.env;
  if (url) {
    if (!password) throw new Error('TANDEM_URL is set, but TANDEM_PASSWORD is not');
    return { url: url.replace(/\/$/, ''), user, password, isFake: false, stop: async () => {} };
  }
  return {
    ...(await startFake({ calls: Number(process.env.CALLS ?? 137) })),
    user: USER,
    password: PASSWORD,
    isFake: true,
  };
}

export interface Browser {
  context: BrowserContext;
  close(): Promise<void>;
}

interface Look {
  width?: number;
  height?: number;
  dark?: boolean;
  language?: string;
}

export async function openBrowser({
  width = 1440,
  height = 900,
  dark = false,
  language = 'en',
}: Look = {}): Promise<Browser> {
  const profile = mkdtempSync(join(tmpdir(), 'tandem-e2e-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    viewport: { width, height },
    colorScheme: dark ? 'dark' : 'light',
    locale: language,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  context.setDefaultTimeout(15_000);
  return {
    context,
    close: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

/** Through the form, as an operator does it. */
export async function signIn(page: Page, at: Switch) {
  await page.goto(at.url);
  await page.locator('input[autocomplete=username]').fill(at.user);
  await page.locator('input[autocomplete=current-password]').fill(at.password);
  await page.locator('button[type=submit]').click();
  await page.locator('nav').first().waitFor({ state: 'attached' });
}

/** Asks the API with the session of the browser. */
export async function ask<T>(
  page: Page,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<T> {
  const origin = new URL(page.url()).origin;
  const answer = await page.request.fetch(`${origin}/api/v1${path}`, {
    method,
    headers: { 'x-tandem': '1', origin, ...headers },
    ...(body === undefined ? {} : { data: body }),
  });
  if (!answer.ok()) throw new Error(`${method} ${path}: ${answer.status()} ${await answer.text()}`);
  return (answer.status() === 204 ? undefined : await answer.json()) as T;
}
