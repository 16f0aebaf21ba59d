// The development page in a real browser, against a real node.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { withClients } from './client.mjs';
import { insecure, startNode } from './server.mjs';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const flags =
  '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync';
const screenshotFolder = fileURLToPath(new URL('../.cache/screenshots/', import.meta.url));

let node;
let browser;
before(async () => {
  assert.ok(existsSync(executablePath), `no browser at ${executablePath}; CHROMIUM may name another place`);
  node = await startNode(insecure);
  browser = await chromium.launch({ executablePath, args: flags.split(' ') });
});
after(async () => {
  await browser?.close();
  await node?.stop();
});

/** Runs `scenario` with tabs of one browser window; what the tabs complain about fails the test, which leaves pictures. */
async function withTabs(title, scenario) {
  const window = await browser.newContext();
  window.setDefaultTimeout(15_000);
  const complaints = [];
  const open = async () => {
    const tab = await window.newPage();
    tab.on('pageerror', (error) => complaints.push(`${error.stack}`));
    tab.on('request', (request) => {
      if (!request.url().startsWith(node.url) && !request.url().startsWith('data:')) complaints.push(`asked for ${request.url()}`);
    });
    await tab.goto(node.url);
    return tab;
  };
  try {
    await scenario(open, window);
    assert.deepEqual(complaints, []);
  } catch (error) {
    mkdirSync(screenshotFolder, { recursive: true });
    for (const [index, tab] of window.pages().entries()) {
      await tab.screenshot({ path: `${screenshotFolder}${title.replaceAll(/\W+/g, '-')}-${index}.png` }).catch(() => undefined);
    }
    throw error;
  } finally {
    await window.close();
  }
}

async function signIn(tab, name, channel) {
  await tab.getByLabel('Name', { exact: true }).fill(name);
  await tab.getByLabel('Channel', { exact: true }).fill(channel);
  await tab.getByRole('button', { name: 'Start chatting' }).click();
  await tab.getByText(`signed in as ${name}`).waitFor();
  await tab.locator('#members').getByText(`${name} (you)`).waitFor();
}

async function say(tab, content) {
  await tab.getByLabel('Message', { exact: true }).fill(content);
  await tab.getByLabel('Message', { exact: true }).press('Enter');
}

const heard = (tab, content) => tab.getByRole('log').getByText(content, { exact: true }).waitFor();
const settled = (tab) => tab.locator('#log li.pending').waitFor({ state: 'detached' });

test('two tabs with two names chat in one channel, both ways', () =>
  withTabs('two tabs', async (open) => {
    const [ada, grace] = [await open(), await open()];
    await signIn(ada, 'Ada', 'tabs');
    await signIn(grace, 'Grace', 'tabs');
    await grace.locator('#members').getByText('Ada', { exact: true }).waitFor();
    await ada.locator('#members').getByText('Grace', { exact: true }).waitFor();

    await say(ada, 'Hello from the first tab');
    await heard(grace, 'Hello from the first tab');
    await say(grace, 'And from the second');
    await heard(ada, 'And from the second');
    await say(ada, 'Once more');
    await heard(grace, 'Once more');

    await settled(ada);
    await settled(grace);
    const contents = (tab) => tab.locator('#log .content').allTextContents();
    assert.deepEqual(await contents(ada), ['Hello from the first tab', 'And from the second', 'Once more']);
    assert.deepEqual(await contents(grace), await contents(ada));
  }));

test('the page and a stock client chat with each other', () =>
  withTabs('page and client', (open) =>
    withClients(node, {}, async (connect) => {
      const ada = await open();
      await signIn(ada, 'Ada', 'mixed');
      const client = await connect('stock-client');
      await client.join('mixed');
      await client.send('mixed', 'from a program');
      await heard(ada, 'from a program');
      await say(ada, 'from a page');
      const message = await client.next('message', ({ userId }) => userId === 'Ada');
      assert.equal(message.content, 'from a page');
    }),
  ));

test('markup in names, channels and messages is shown as text', () =>
  withTabs('markup', async (open) => {
    const markup = '<img src=x onerror="document.title=1"><b>bold</b>';
    const [ada, other] = [await open(), await open()];
    await signIn(ada, 'Ada', markup);
    await signIn(other, '<i>Mallory</i>', markup);
    await say(other, markup);
    await heard(ada, markup);
    assert.equal(await ada.locator('#chat :is(img, b, i)').count(), 0);
    assert.match(await ada.title(), /^<img/);
  }));

test('a second channel counts what was not read, and shows it when entered', () =>
  withTabs('channels', async (open) => {
    const [ada, grace] = [await open(), await open()];
    await signIn(ada, 'Ada', 'one');
    await signIn(grace, 'Grace', 'one');
    await ada.getByLabel('Name of a channel to join').fill('two');
    await ada.getByLabel('Name of a channel to join').press('Enter');
    await ada.getByRole('button', { name: '# two' }).waitFor();
    await say(grace, 'while you were out');
    await ada.getByRole('button', { name: '# one 1' }).click();
    await heard(ada, 'while you were out');
  }));

test('the head of the page shows the node at work', () =>
  withTabs('facts', async (open) => {
    const ada = await open();
    await signIn(ada, 'Ada', 'facts');
    const { cores, driver } = await (await fetch(`${node.url}/health`)).json();
    await ada.locator('#cores', { hasText: `${cores}` }).waitFor();
    await ada.locator('#driver', { hasText: driver }).waitFor();
    await ada.locator('#connections', { hasText: /^\d+$/ }).waitFor();
    await say(ada, 'counted');
    await ada.locator('#rate', { hasText: /[1-9]/ }).waitFor();
  }));

test('a page whose node restarts comes back, and says once what was written meanwhile', () =>
  withTabs('restart', async (open) => {
    const [ada, grace] = [await open(), await open()];
    await signIn(ada, 'Ada', 'restart');
    await signIn(grace, 'Grace', 'restart');
    await node.stop();
    await ada.getByText('connection lost').waitFor();
    await say(ada, 'written while away');
    node = await startNode(insecure, node.port);
    await ada.getByText('signed in as Ada').waitFor();
    await grace.getByText('signed in as Grace').waitFor();
    await settled(ada);
    await say(ada, 'after all');
    await say(grace, 'I am back, too');
    await heard(ada, 'I am back, too');
    assert.equal(await ada.getByText('written while away').count(), 1);
    assert.equal(await grace.getByText('written while away').count() <= 1, true);
  }));

test('a page that is loaded again is still signed in', () =>
  withTabs('reload', async (open) => {
    const ada = await open();
    await signIn(ada, 'Ada', 'reloaded');
    await ada.reload();
    await ada.getByText('signed in as Ada').waitFor();
    await ada.getByRole('heading', { name: '# reloaded' }).waitFor();
  }));

test('typing, reactions, receipts and statuses are seen by the others', () =>
  withTabs('company', async (open) => {
    const [ada, grace] = [await open(), await open()];
    await signIn(ada, 'Ada', 'company');
    await signIn(grace, 'Grace', 'company');
    await say(ada, 'Who is there?');
    await heard(grace, 'Who is there?');
    await ada.getByText('seen by Grace').waitFor();
    await grace.locator('#log li').hover();
    await grace.getByRole('button', { name: 'React with 🎉' }).click();
    await ada.locator('#log .marks button', { hasText: '🎉 1' }).click();
    await grace.locator('#log .marks button', { hasText: '🎉 2' }).waitFor();
    await grace.getByLabel('Message', { exact: true }).pressSequentially('me');
    await ada.getByText('Grace is typing').waitFor();
    await grace.getByLabel('Message', { exact: true }).press('Enter');
    await heard(ada, 'me');
    await ada.getByText('Grace is typing').waitFor({ state: 'detached' });
    await grace.getByLabel('How you are').selectOption('dnd');
    await ada.locator('#members li[data-status=dnd]', { hasText: 'Grace' }).waitFor();
    await grace.getByLabel('What you are up to').fill('reading');
    await grace.getByLabel('What you are up to').press('Enter');
    await ada.locator('#members').getByText('reading').waitFor();
  }));

test('a connection that is cut is taken up again, with what was said meanwhile', () =>
  withTabs('cut', async (open) => {
    const [ada, grace] = [await open(), await open()];
    await signIn(ada, 'Ada', 'cut');
    await signIn(grace, 'Grace', 'cut');
    await say(ada, 'first');
    await heard(grace, 'first');
    await ada.getByRole('button', { name: 'Cut the connection' }).click();
    await ada.getByText('cut off').waitFor();
    for (const content of ['second', 'third']) await say(grace, content);
    await settled(grace);
    await ada.getByRole('button', { name: 'Resume the session' }).click();
    await ada.getByText('Recovered: the same session').waitFor();
    await heard(ada, 'third');
    assert.deepEqual(await ada.locator('#log .content').allTextContents(), ['first', 'second', 'third']);

    await ada.getByRole('button', { name: 'Cut the connection' }).click();
    await say(grace, 'fourth');
    await settled(grace);
    await ada.getByRole('button', { name: 'Begin a new one' }).click();
    await ada.getByText('A new session:').waitFor();
    await heard(ada, 'fourth');
    assert.deepEqual(await ada.locator('#log .content').allTextContents(), ['first', 'second', 'third', 'fourth']);
  }));
