/** Which rows of a tall list are on screen. Rows have one height, so this is arithmetic and needs no measuring. */
export interface Range {
  first: number;
  count: number;
}

/** Rows to draw: those in view and `spare` on each side. */
export function visibleRange(scrollTop: number, height: number, rowHeight: number, total: number, spare = 8): Range {
  const first = Math.max(0, Math.floor(scrollTop / rowHeight) - spare);
  const last = Math.min(total, Math.ceil((scrollTop + height) / rowHeight) + spare);
  return { first: Math.min(first, Math.max(0, total - 1)), count: Math.max(0, last - first) };
}

/**
 * The window to ask the server for. It moves in steps of half a window, so that scrolling by a row asks for nothing new,
 * and it never exceeds what the server gives at once.
 */
export function serverWindow(visible: Range, size = 96, limit = 200): { off: number; n: number } {
  const n = Math.min(limit, Math.max(size, visible.count + size / 2));
  const step = Math.floor(size / 2);
  const off = Math.max(0, Math.floor(visible.first / step) * step);
  // A step back may leave the end of the screen outside; then the window starts at the screen itself.
  return visible.first + visible.count > off + n ? { off: visible.first, n } : { off, n };
}

/** The scroll position that brings a row into view, or the present one if it is in view already. */
export function scrollToRow(index: number, scrollTop: number, height: number, rowHeight: number): number {
  const top = index * rowHeight;
  if (top < scrollTop) return top;
  return top + rowHeight > scrollTop + height ? top + rowHeight - height : scrollTop;
}
