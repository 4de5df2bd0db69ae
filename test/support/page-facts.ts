import type { Page } from './chromium.ts';

/** A text on the page whose colours are too near to each other. */
export interface PoorText {
  readonly text: string;
  readonly contrast: number;
  readonly colours: string;
}

/** What a reader's eye and fingers meet: measured in the page as it is laid out, with everything unfolded. */
export interface PageFacts {
  /** Of texts as the browser paints them, WCAG's contrast below 4.5. */
  readonly poor: readonly PoorText[];
  readonly texts: number;
  /** The page is wider than the window. */
  readonly scrollsSideways: boolean;
  /** Elements that end right of the window, by tag and class. */
  readonly tooWide: readonly string[];
}

/** Runs in the page, as text: it has no types of ours. */
const MEASURE = `(() => {
  document.querySelectorAll('details').forEach((it) => { it.open = true; });
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const channel = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const groundOf = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const colour = numbers(getComputedStyle(at).backgroundColor);
      if (colour[3] === undefined || colour[3] === 1) return colour;
      if (colour[3] !== 0) throw new Error('a ground that is not opaque: ' + at.outerHTML.slice(0, 100));
    }
    throw new Error('no ground');
  };
  const poor = [];
  let texts = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const element = node.parentElement;
    if (node.textContent.trim() === '' || element.closest('circle') !== null) continue;
    const style = getComputedStyle(element);
    if (Number(style.opacity) !== 1) throw new Error('a text that is not opaque');
    texts++;
    const colour = numbers(element.namespaceURI.endsWith('svg') ? style.fill : style.color);
    const [light, dark] = [luminance(colour), luminance(groundOf(element))].sort((a, b) => b - a);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < 4.5) poor.push({ text: node.textContent.trim().slice(0, 60), contrast, colours: style.color + ' on ' + groundOf(element) });
  }
  const root = document.documentElement;
  const tooWide = [...document.body.querySelectorAll('*')]
    .filter((it) => it.getBoundingClientRect().right > root.clientWidth + 1)
    .map((it) => it.tagName + '.' + it.getAttribute('class'));
  return { poor, texts, scrollsSideways: root.scrollWidth > root.clientWidth, tooWide };
})()`;

/** Measures a page. Throws for what cannot be measured, such as a ground that lets another through. */
export async function pageFacts(page: Page): Promise<PageFacts> {
  return (await page.evaluate(MEASURE)) as PageFacts;
}
