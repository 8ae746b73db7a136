/** Filters live in the address bar, as plain text, so that a view is a link and Back undoes a filter. */
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useCallback } from 'react';

export type Search = Record<string, string>;

export function parseSearch(text: string): Search {
  return Object.fromEntries(new URLSearchParams(text).entries());
}

export function writeSearch(search: Record<string, unknown>): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) {
    if (value !== undefined && value !== null && value !== '') parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return text ? `?${text}` : '';
}

/** The search of the page and a way to change it. `replace` keeps one history entry while a filter is being typed. */
export function useUrl() {
  const search = useSearch({ strict: false }) as Search;
  const navigate = useNavigate();
  const change = useCallback(
    (next: Record<string, string | undefined>, replace = false) =>
      void navigate({
        to: '.',
        search: (old: Search) => Object.fromEntries(Object.entries({ ...old, ...next }).filter(([, v]) => v)) as Search,
        replace,
      } as Parameters<typeof navigate>[0]),
    [navigate],
  );
  return { search, change };
}
