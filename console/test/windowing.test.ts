import { expect, test } from 'vitest';
import { scrollToRow, serverWindow, visibleRange } from '../src/lib/windowing';

test.each<[what: string, args: [number, number, number, number, number], first: number, count: number]>([
  ['the top', [0, 560, 28, 5000, 8], 0, 28],
  ['the middle', [2800, 560, 28, 5000, 8], 92, 36],
  ['between two rows', [14, 560, 28, 5000, 0], 0, 21],
  ['the end', [139_440, 560, 28, 5000, 8], 4972, 28],
  ['beyond the end, after rows went away', [139_440, 560, 28, 10, 8], 9, 0],
  ['an empty list', [0, 560, 28, 0, 8], 0, 0],
  ['fewer rows than fit', [0, 560, 28, 3, 8], 0, 3],
])('%s', (_, args, first, count) => expect(visibleRange(...args)).toEqual({ first, count }));

test('never more rows in the document than a screen and its margins', () => {
  for (let top = 0; top < 1_400_000; top += 997)
    expect(visibleRange(top, 900, 28, 50_000).count).toBeLessThanOrEqual(50);
});

test('the window of the server always holds the screen, moves in steps and stays in its limit', () => {
  const asked = new Set<number>();
  for (let first = 0; first < 2_000; first++) {
    const { off, n } = serverWindow({ first, count: 40 });
    expect(off).toBeLessThanOrEqual(first);
    expect(off + n).toBeGreaterThanOrEqual(first + 40);
    expect(n).toBeLessThanOrEqual(200);
    asked.add(off);
  }
  expect(asked.size).toBeLessThan(60);
});

test('a screen that is too tall for a step begins at itself', () => {
  expect(serverWindow({ first: 47, count: 190 })).toEqual({ off: 47, n: 200 });
});

test.each([
  [5, 280, 280, 140],
  [10, 0, 280, 28],
  [3, 0, 280, 0],
])('row %i at scroll %i of height %i scrolls to %i', (row, top, height, to) =>
  expect(scrollToRow(row, top, height, 28)).toBe(to),
);
