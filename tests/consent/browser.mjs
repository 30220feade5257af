// What people do with the link of `northstar upstream connect`, in Chromium. Ends with its standard input.
//
// Standard input: a line for each of them, `{"scenario", "link", "shots"}`; SHOTS is the start of the names of the
// screenshots. Each begins in a browser without cookies.
//
//     consent        log in at the authorization server, consent, and read where that ends
//     allow, deny    press the button on the page of the Salesforce stand-in, and read where that ends
//     open           open the link and read what it says
//     other-browser  consent in one browser, and open the callback in another
//
// Standard output: a line for each page at the end: `{"url", "status", "lang", "title", "heading", "text", "cookies"}`, or
// `{"failed"}` with the reason.
import { createInterface } from 'node:readline/promises';
import { chromium } from 'playwright-core';

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});

// Whether a URL is our callback's: a link has a ticket in the place of the state.
function isCallback(url) {
  const { pathname, searchParams } = new URL(url);
  return pathname.startsWith('/connect/') && searchParams.has('state');
}

async function newPage(contexts) {
  const context = await browser.newContext({ viewport: { width: 900, height: 640 } });
  context.setDefaultTimeout(20_000);
  contexts.push(context);
  return context.newPage();
}

async function read(page, response, screenshot) {
  await screenshot(page);
  return {
    url: page.url(),
    status: response.status(),
    lang: await page.getAttribute('html', 'lang'),
    title: await page.title(),
    heading: await page.locator('h1').first().innerText(),
    text: await page.innerText('body'),
    cookies: (await page.context().cookies()).map(({ name }) => name),
  };
}

// Presses a button that leads to our callback.
async function press(page, button, screenshot) {
  const answered = page.waitForResponse(
    (response) => isCallback(response.url()) && response.request().isNavigationRequest(),
  );
  await page.click(button);
  const response = await answered;
  await page.waitForLoadState();
  return read(page, response, screenshot);
}

// From the link to the button that consents.
async function logIn(page, link, screenshot) {
  await page.goto(link);
  await screenshot(page);
  await page.fill('input[name=login]', 'admin@northstar.example');
  await page.fill('input[name=password]', 'any password');
  await page.click('button[type=submit]');
  await page.waitForSelector('input[name=prompt][value=consent]', { state: 'attached' });
  await screenshot(page);
}

async function decide(page, link, button, screenshot) {
  await page.goto(link);
  await screenshot(page);
  return press(page, button, screenshot);
}

async function inOtherBrowser(page, other, link, screenshot) {
  await logIn(page, link, screenshot);
  // The first browser goes no further than the redirect to the callback.
  const { request } = page.context();
  let next = await page.getAttribute('form', 'action');
  let answer = await request.post(next, { form: { prompt: 'consent' }, maxRedirects: 0 });
  while (!isCallback((next = new URL(answer.headers().location, next).href))) {
    answer = await request.get(next, { maxRedirects: 0 });
  }
  return read(other, await other.goto(next), screenshot);
}

async function run({ scenario, link, shots }, contexts) {
  let shot = 0;
  const screenshot = (page) => page.screenshot({ path: `${shots}-${++shot}.png` });
  const page = await newPage(contexts);
  switch (scenario) {
    case 'consent':
      await logIn(page, link, screenshot);
      return press(page, 'button[type=submit]', screenshot);
    case 'allow':
    case 'deny':
      return decide(page, link, `button[value=${scenario}]`, screenshot);
    case 'other-browser':
      return inOtherBrowser(page, await newPage(contexts), link, screenshot);
    default:
      return read(page, await page.goto(link), screenshot);
  }
}

try {
  for await (const line of createInterface({ input: process.stdin })) {
    const contexts = [];
    const page = await run(JSON.parse(line), contexts).catch((error) => ({ failed: String(error.stack) }));
    console.log(JSON.stringify(page));
    for (const context of contexts) await context.close();
  }
} finally {
  await browser.close();
}
