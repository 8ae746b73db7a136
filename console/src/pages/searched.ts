import type { Page } from '../api/resources';

/** Short lists come whole from the switch and are searched here: every word must stand in one of the texts. */
export function searched<T>(items: T[], q: unknown, texts: (item: T) => string[]): Page<T> {
  const words = String(q ?? '')
    .toLowerCase()
    .split(/\s+/)
    .filter(Boolean);
  const found = items.filter((item) => {
    const text = texts(item).join(' ').toLowerCase();
    return words.every((word) => text.includes(word));
  });
  return { items: found, total: found.length };
}
