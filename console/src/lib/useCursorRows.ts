/** Rows of a REST list: pages follow one another by cursor as the reader scrolls towards their end. */
import { keepPreviousData, useInfiniteQuery } from '@tanstack/react-query';
import { useCallback, useMemo } from 'react';
import type { Page, Query } from '../api/resources';
import type { Range } from './windowing';

const PAGE = 100;
/** Rows before the end at which the next page is asked for. */
const AHEAD = 30;

export function useCursorRows<T>(
  key: readonly unknown[],
  fetch: (query: Query) => Promise<Page<T>>,
  query: Query,
  refreshMs?: number,
) {
  const result = useInfiniteQuery({
    queryKey: [...key, query],
    queryFn: ({ pageParam }) => fetch({ ...query, limit: PAGE, cursor: pageParam }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
    placeholderData: keepPreviousData,
    // Only the first page follows the present; reading further down must not move under the reader.
    refetchInterval: (q) => ((q.state.data?.pages.length ?? 0) > 1 ? false : (refreshMs ?? false)),
  });
  const rows = useMemo(() => result.data?.pages.flatMap((p) => p.items) ?? [], [result.data]);
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = result;
  const onRange = useCallback(
    (range: Range) => {
      if (hasNextPage && !isFetchingNextPage && range.first + range.count + AHEAD >= rows.length) void fetchNextPage();
    },
    [hasNextPage, isFetchingNextPage, fetchNextPage, rows.length],
  );
  return {
    rows,
    onRange,
    total: result.data?.pages[0]?.total ?? null,
    complete: !hasNextPage,
    error: result.error,
    waiting: result.isPending || result.isPlaceholderData,
    refetch: () => void result.refetch(),
  };
}
