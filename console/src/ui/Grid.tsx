/**
 * The list of every page. Only the rows in view exist in the document; rows have one height; the keyboard moves a
 * cell cursor. It does not know where rows come from: `rowAt` answers, or says that a row is not here yet.
 */
import { type KeyboardEvent, type ReactNode, useEffect, useId, useLayoutEffect, useRef, useState } from 'react';
import { type Range, scrollToRow, visibleRange } from '../lib/windowing';

export const ROW = 28;
const HEAD = 30;

export interface Column<T> {
  key: string;
  title: string;
  width: number;
  /** Takes a share of the space that is left. */
  grow?: boolean;
  right?: boolean;
  /** Name by which the API sorts this column. */
  sort?: string;
  cell: (row: T) => ReactNode;
  /** What Ctrl+C takes; by default the text on screen. */
  text?: (row: T) => string;
}

interface GridProps<T> {
  label: string;
  columns: Column<T>[];
  count: number;
  rowAt: (index: number) => T | undefined;
  rowKey: (row: T) => string;
  rowClass?: (row: T) => string;
  sort?: string;
  onSort?: (sort: string) => void;
  onRange?: (range: Range) => void;
  onOpen?: (row: T) => void;
  onKey?: (key: string, row: T) => void;
  /** The pointer or the focus is in the grid. */
  onHold?: (hold: boolean) => void;
  waiting?: boolean;
  /** Instead of rows. */
  note?: ReactNode;
}

export function Grid<T>(props: GridProps<T>) {
  const { columns, count, rowAt, onRange, onHold } = props;
  const id = useId();
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const [active, setActive] = useState({ row: -1, column: 0 });
  const hold = useRef({ pointer: false, focus: false });

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const measure = () => setView((old) => ({ ...old, height: Math.max(ROW, element.clientHeight - HEAD) }));
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    measure();
    return () => observer.disconnect();
  }, []);

  const range = visibleRange(view.top, view.height, ROW, count);
  useEffect(() => onRange?.({ first: range.first, count: range.count }), [onRange, range.first, range.count]);

  const setHold = (change: Partial<{ pointer: boolean; focus: boolean }>) => {
    const before = hold.current.pointer || hold.current.focus;
    Object.assign(hold.current, change);
    const after = hold.current.pointer || hold.current.focus;
    if (before !== after) onHold?.(after);
  };

  const move = (row: number, column: number) => {
    const to = { row: clamp(row, count - 1), column: clamp(column, columns.length - 1) };
    setActive(to);
    const element = box.current;
    if (element) element.scrollTop = scrollToRow(to.row, element.scrollTop, view.height, ROW);
  };

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.target !== box.current || count === 0) return;
    const page = Math.max(1, Math.floor(view.height / ROW) - 1);
    const next = cursorAfter(event, active, page, count, columns.length);
    const row = rowAt(active.row);
    if (next) move(next.row, next.column);
    else if (event.key === 'Enter' && row) props.onOpen?.(row);
    else if (event.key.toLowerCase() === 'c' && (event.ctrlKey || event.metaKey))
      copyCell(box.current, cellId(id, active));
    else if (row && !event.ctrlKey && !event.metaKey && !event.altKey) return props.onKey?.(event.key, row);
    else return;
    event.preventDefault();
  };

  const template = columns.map((c) => (c.grow ? `minmax(${c.width}px, 1fr)` : `${c.width}px`)).join(' ');
  return (
    <div
      ref={box}
      className={props.onOpen ? 'grid grid-opens' : 'grid'}
      role="grid"
      tabIndex={0}
      aria-label={props.label}
      aria-rowcount={count + 1}
      aria-colcount={columns.length}
      aria-busy={props.waiting ?? false}
      aria-activedescendant={
        active.row >= range.first && active.row < range.first + range.count ? cellId(id, active) : undefined
      }
      onScroll={(e) => setView({ top: e.currentTarget.scrollTop, height: view.height })}
      onKeyDown={onKeyDown}
      onMouseEnter={() => setHold({ pointer: true })}
      onMouseLeave={() => setHold({ pointer: false })}
      onFocus={() => setHold({ focus: true })}
      onBlur={() => setHold({ focus: false })}
    >
      {props.waiting && <div className="grid-wait" />}
      <div className="grid-inner" role="presentation">
        <div role="rowgroup">
          <Head {...props} template={template} />
        </div>
        <div
          role="rowgroup"
          className={props.waiting ? 'grid-body grid-dim' : 'grid-body'}
          style={{ height: count * ROW }}
        >
          {Array.from({ length: range.count }, (_, i) => range.first + i).map((index) => (
            <Row
              key={keyOf(rowAt(index), index, props.rowKey)}
              {...{ props, index, template, id }}
              row={rowAt(index)}
              activeColumn={active.row === index ? active.column : -1}
              onPick={(column) => setActive({ row: index, column })}
            />
          ))}
        </div>
      </div>
      {count === 0 && props.note}
    </div>
  );
}

const clamp = (n: number, last: number) => Math.max(0, Math.min(last, n));
const cellId = (id: string, at: { row: number; column: number }) => `${id}-${at.row}-${at.column}`;

function keyOf<T>(row: T | undefined, index: number, rowKey: (row: T) => string): string {
  return row === undefined ? `row-${index}` : rowKey(row);
}

function copyCell(box: HTMLElement | null, id: string) {
  const text = box?.ownerDocument.getElementById(id)?.innerText;
  if (text) void navigator.clipboard?.writeText(text);
}

interface Cursor {
  row: number;
  column: number;
}

/** Where a key leads the cursor, or `null` for keys that do not move it. */
export function cursorAfter(
  event: { key: string; ctrlKey: boolean; metaKey: boolean },
  at: Cursor,
  page: number,
  rows: number,
  columns: number,
): Cursor | null {
  const { row, column } = at;
  const far = event.ctrlKey || event.metaKey;
  switch (event.key) {
    case 'ArrowDown':
      return { row: row + 1, column };
    case 'ArrowUp':
      return { row: row - 1, column };
    case 'j':
      return far ? null : { row: row + 1, column };
    case 'k':
      return far ? null : { row: row - 1, column };
    case 'ArrowRight':
      return { row, column: column + 1 };
    case 'ArrowLeft':
      return { row, column: column - 1 };
    case 'PageDown':
      return { row: row + page, column };
    case 'PageUp':
      return { row: row - page, column };
    case 'Home':
      return far ? { row: 0, column: 0 } : { row, column: 0 };
    case 'End':
      return far ? { row: rows - 1, column: columns - 1 } : { row, column: columns - 1 };
    default:
      return null;
  }
}

function Head<T>({ columns, sort, onSort, template }: GridProps<T> & { template: string }) {
  const descending = sort?.startsWith('-') ?? false;
  const by = descending ? sort?.slice(1) : sort;
  return (
    <div className="grid-row grid-head" role="row" style={{ gridTemplateColumns: template }}>
      {columns.map((c) => {
        const sorted = c.sort !== undefined && c.sort === by;
        const order = sorted ? (descending ? 'descending' : 'ascending') : undefined;
        return (
          <div
            key={c.key}
            role="columnheader"
            tabIndex={-1}
            aria-sort={order}
            className={`grid-cell ${c.right ? 'grid-right' : ''}`}
          >
            {c.sort && onSort ? (
              <button
                type="button"
                tabIndex={-1}
                className="grid-sort"
                title={c.title}
                onClick={() => onSort(sorted && !descending ? `-${c.sort}` : (c.sort ?? ''))}
              >
                {c.title}
                {sorted && <span aria-hidden="true">{descending ? ' ↓' : ' ↑'}</span>}
              </button>
            ) : (
              <span title={c.title}>{c.title}</span>
            )}
          </div>
        );
      })}
    </div>
  );
}

interface RowProps<T> {
  props: GridProps<T>;
  row: T | undefined;
  index: number;
  id: string;
  template: string;
  activeColumn: number;
  onPick: (column: number) => void;
}

function Row<T>({ props, row, index, id, template, activeColumn, onPick }: RowProps<T>) {
  const own = row === undefined ? '' : (props.rowClass?.(row) ?? '');
  return (
    <div
      role="row"
      className={`grid-row ${own}`}
      aria-rowindex={index + 2}
      aria-selected={activeColumn >= 0}
      style={{ gridTemplateColumns: template, top: index * ROW }}
      onClick={() => row !== undefined && props.onOpen?.(row)}
    >
      {props.columns.map((c, column) => (
        <div
          key={c.key}
          id={cellId(id, { row: index, column })}
          role="gridcell"
          className={`grid-cell ${c.right ? 'grid-right' : ''} ${column === activeColumn ? 'grid-cell-active' : ''}`}
          onMouseDown={() => onPick(column)}
        >
          {row === undefined ? '' : c.cell(row)}
        </div>
      ))}
    </div>
  );
}
