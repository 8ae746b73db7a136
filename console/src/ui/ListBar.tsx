/** The bar above every list: free text, filters that are set, "+ filter", and what the page adds at the right. */
import { useQuery } from '@tanstack/react-query';
import { Input, Select } from 'antd';
import { type ReactNode, useEffect, useRef, useState } from 'react';
import { accounts, mappingGateways, type Page, type Query, routingGateways } from '../api/resources';
import { useText } from '../i18n';
import { useUrl } from '../lib/url';

export interface Filter {
  name: string;
  label: string;
  /** Closed choice; without it the filter is free text. */
  options?: { value: string; label: string }[];
  /** Names of these things to choose from; the API takes whole names only. */
  names?: 'accounts' | 'mapping-gateways' | 'routing-gateways';
  /** Always shown; the others appear through "+ filter". */
  pinned?: boolean;
}

interface ListBarProps {
  hint: string;
  filters?: Filter[];
  left?: ReactNode;
  right?: ReactNode;
  onLeaveFilter?: () => void;
}

const TYPING_MS = 250;

/** Text that goes to the address bar when the typing pauses. The first letter makes a history entry, the next replace it. */
function useTypedFilter(name: string): [string, (text: string) => void] {
  const { search, change } = useUrl();
  const inUrl = search[name] ?? '';
  const [text, setText] = useState(inUrl);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const sent = useRef(inUrl);
  useEffect(() => {
    if (inUrl !== sent.current) {
      sent.current = inUrl;
      setText(inUrl);
    }
  }, [inUrl]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const type = (next: string) => {
    setText(next);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      const continues = sent.current !== '' && next !== '';
      sent.current = next.trim();
      change({ [name]: next.trim() || undefined }, continues);
    }, TYPING_MS);
  };
  return [text, type];
}

export function ListBar({ hint, filters = [], left, right, onLeaveFilter }: ListBarProps) {
  const t = useText();
  const { search } = useUrl();
  const [text, setText] = useTypedFilter('q');
  const [added, setAdded] = useState<string[]>([]);
  const shown = filters.filter((f) => f.pinned || search[f.name] || added.includes(f.name));
  const hidden = filters.filter((f) => !shown.includes(f));
  return (
    <div className="bar">
      <Input
        className="bar-filter"
        data-filter=""
        type="search"
        allowClear
        aria-label={t.common.filter}
        placeholder={`${hint}  ( / )`}
        value={text}
        onChange={(e) => setText(e.target.value)}
        onKeyDown={(e) => {
          if (e.key === 'Escape' || e.key === 'Enter') onLeaveFilter?.();
        }}
      />
      {left}
      {shown.map((f) => (
        <FilterField key={f.name} filter={f} onGone={() => setAdded(added.filter((n) => n !== f.name))} />
      ))}
      {hidden.length > 0 && (
        <Select
          aria-label={t.common.addFilter}
          style={{ minWidth: 96 }}
          popupMatchSelectWidth={false}
          value={null}
          placeholder={t.common.addFilter}
          options={hidden.map((f) => ({ value: f.name, label: f.label }))}
          onSelect={(name: string | null) => name && setAdded([...added, name])}
        />
      )}
      <div className="bar-right">{right}</div>
    </div>
  );
}

const LISTS: Record<NonNullable<Filter['names']>, (query: Query) => Promise<Page<{ name: string }>>> = {
  accounts: accounts.list,
  'mapping-gateways': mappingGateways.list,
  'routing-gateways': routingGateways.list,
};

/** The choices of a filter, or `null` for free text. A name that stands in the address is among them even while they load. */
function useChoices({ options, names, name }: Filter): { value: string; label: string }[] | null {
  const { search } = useUrl();
  const loaded = useQuery({
    queryKey: [names, 'names'],
    queryFn: () => LISTS[names ?? 'accounts']({ limit: 200 }),
    enabled: names !== undefined,
    staleTime: 30_000,
  });
  if (!names) return options ?? null;
  const known = loaded.data?.items.map((item) => item.name) ?? [];
  const chosen = search[name];
  const all = chosen && !known.includes(chosen) ? [chosen, ...known] : known;
  return all.map((value) => ({ value, label: value }));
}

function FilterField({ filter, onGone }: { filter: Filter; onGone: () => void }) {
  const t = useText();
  const { search, change } = useUrl();
  const [text, setText] = useTypedFilter(filter.name);
  const choices = useChoices(filter);
  return (
    <span className="chip-filter">
      <span className="chip-filter-label" aria-hidden="true">
        {filter.label}
      </span>
      {choices ? (
        <Select
          aria-label={filter.label}
          style={{ minWidth: 110 }}
          popupMatchSelectWidth={false}
          showSearch={choices.length > 8 ? { optionFilterProp: 'label' } : false}
          value={search[filter.name] ?? ''}
          options={[{ value: '', label: t.common.all }, ...choices]}
          onChange={(value) => change({ [filter.name]: value || undefined })}
        />
      ) : (
        <Input
          aria-label={filter.label}
          style={{ width: 130 }}
          value={text}
          onChange={(e) => setText(e.target.value)}
        />
      )}
      {!filter.pinned && (
        <button
          type="button"
          className="icon-button icon-button-small"
          aria-label={`${t.common.remove}: ${filter.label}`}
          onClick={() => {
            change({ [filter.name]: undefined });
            onGone();
          }}
        >
          ×
        </button>
      )}
    </span>
  );
}
