/** Bar and grid over a REST list, with its states. Every list page that is not live is this, with other columns. */
import { Button } from 'antd';
import { type ReactNode, useRef } from 'react';
import type { Page, Query } from '../api/resources';
import { useText } from '../i18n';
import { count } from '../lib/format';
import { useUrl } from '../lib/url';
import { useCursorRows } from '../lib/useCursorRows';
import { type Column, Grid } from './Grid';
import { type Filter, ListBar } from './ListBar';
import { Empty, ErrorNote } from './Notes';

interface ListViewProps<T> {
  label: string;
  queryKey: readonly unknown[];
  fetch: (query: Query) => Promise<Page<T>>;
  /** Filters that do not stand in the address bar, like a computed time range. */
  fixed?: Query;
  columns: Column<T>[];
  rowKey: (row: T) => string;
  rowClass?: (row: T) => string;
  hint: string;
  filters?: Filter[];
  left?: ReactNode;
  right?: ReactNode;
  defaultSort?: string;
  onOpen?: (row: T) => void;
  refreshMs?: number;
  empty: { text: string; action?: ReactNode };
}

export function ListView<T>(props: ListViewProps<T>) {
  const t = useText();
  const { search, change } = useUrl();
  const frame = useRef<HTMLDivElement>(null);
  const sort = search.sort ?? props.defaultSort;
  const own = Object.fromEntries((props.filters ?? []).map((f) => [f.name, search[f.name]]));
  const query = withoutEmpty({ ...own, q: search.q, sort, ...props.fixed });
  const list = useCursorRows(props.queryKey, props.fetch, query, props.refreshMs);
  const isFiltered = !!search.q || (props.filters ?? []).some((f) => search[f.name]);
  const clear = () =>
    change(Object.fromEntries(['q', ...(props.filters ?? []).map((f) => f.name)].map((n) => [n, undefined])));
  const known = list.total ?? list.rows.length;
  return (
    <div className="page page-fixed" ref={frame}>
      <ListBar
        hint={props.hint}
        filters={props.filters}
        left={props.left}
        right={
          <>
            {!list.waiting && (
              <span>{t.common.rows(list.total === null && !list.complete ? `${count(known)}+` : count(known))}</span>
            )}
            {props.right}
          </>
        }
        onLeaveFilter={() => frame.current?.querySelector<HTMLElement>('[role=grid]')?.focus()}
      />
      {list.error && <ErrorNote error={list.error} onRetry={list.refetch} />}
      <Grid
        label={props.label}
        columns={props.columns}
        count={list.rows.length}
        rowAt={(i) => list.rows[i]}
        rowKey={props.rowKey}
        rowClass={props.rowClass}
        sort={sort}
        onSort={(next) => change({ sort: next })}
        onRange={list.onRange}
        onOpen={props.onOpen}
        waiting={list.waiting && !list.error}
        note={
          list.waiting || list.error ? undefined : isFiltered ? (
            <Empty text={t.common.filtered} action={<Button onClick={clear}>{t.common.clearFilter}</Button>} />
          ) : (
            <Empty {...props.empty} />
          )
        }
      />
    </div>
  );
}

function withoutEmpty(query: Query): Query {
  return Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined && value !== ''));
}
