/** Find calls, answer disputes. */
import { useNavigate } from '@tanstack/react-router';
import { Button, Segmented } from 'antd';
import { useMemo } from 'react';
import { type Cdr, cdrs } from '../api/resources';
import { type Language, type Messages, useLanguage, useText, wordFor } from '../i18n';
import { duration, isNegative, money, NONE, seconds, time, timeTip } from '../lib/format';
import { limitsOf, RANGES } from '../lib/range';
import { useUrl } from '../lib/url';
import { choices } from '../ui/fields';
import type { Column } from '../ui/Grid';
import type { Filter } from '../ui/ListBar';
import { ListView } from '../ui/ListView';
import { Page } from '../ui/Page';

const REFRESH_MS = 10_000;

export function Records() {
  const { texts: t, language } = useLanguage();
  const { search, change } = useUrl();
  const navigate = useNavigate();
  const range = search.range ?? 'all';
  // The limits move only when the range or another filter is chosen anew, so that paging sees one list.
  // biome-ignore lint/correctness/useExhaustiveDependencies: a changed search is asked at its own moment
  const fixed = useMemo(() => limitsOf(range, new Date()), [range, JSON.stringify(search)]);
  const columns = useMemo(() => columnsOf(t, WIDTHS[language]), [t, language]);
  return (
    <Page title={t.nav.records} fixed>
      <ListView<Cdr>
        label={t.nav.records}
        queryKey={['cdrs']}
        fetch={cdrs.list}
        fixed={fixed}
        columns={columns}
        rowKey={(c) => c.id}
        hint={t.records.filterHint}
        filters={filtersOf(t)}
        left={<RangeChoice value={range} onChange={(next) => change({ range: next === 'all' ? undefined : next })} />}
        refreshMs={REFRESH_MS}
        onOpen={(c) => void navigate({ to: '/records/$id', params: { id: c.id }, search: {} })}
        empty={{
          text: t.records.empty,
          action: range !== 'all' && (
            <Button onClick={() => change({ range: undefined })}>{t.records.emptyAction}</Button>
          ),
        }}
      />
    </Page>
  );
}

function RangeChoice({ value, onChange }: { value: string; onChange: (range: string) => void }) {
  const t = useText();
  return (
    <Segmented
      aria-label={t.records.range}
      value={value}
      onChange={onChange}
      options={RANGES.map((name) => ({ value: name, label: t.records.ranges[name] }))}
    />
  );
}

function filtersOf(t: Messages): Filter[] {
  return [
    {
      name: 'answered',
      label: t.records.answered,
      pinned: true,
      options: [
        { value: 'true', label: t.common.yes },
        { value: 'false', label: t.common.no },
      ],
    },
    { name: 'account', label: t.calls.customer, names: 'accounts' },
    { name: 'vendor', label: t.calls.vendor, names: 'accounts' },
    { name: 'mapping_gateway', label: t.calls.mapping, names: 'mapping-gateways' },
    { name: 'routing_gateway', label: t.calls.routing, names: 'routing-gateways' },
    { name: 'caller', label: t.calls.caller },
    { name: 'callee', label: t.calls.callee },
    { name: 'end_reason', label: t.records.endReason, options: choices(t.endReason) },
    { name: 'ended_by', label: t.records.endedBy, options: choices(t.records.by) },
    { name: 'min_duration_s', label: t.records.minDuration },
    { name: 'from', label: t.reports.from },
    { name: 'to', label: t.reports.until },
    { name: 'prefix', label: t.reports.dimensions.prefix },
    { name: 'area', label: t.reports.dimensions.area },
    { name: 'currency', label: t.common.currency },
    { name: 'call_id', label: 'Call-ID' },
    { name: 'sip_code', label: t.records.code },
  ];
}

const WIDTHS: Record<Language, { gateway: number; billed: number; by: number; reason: number }> = {
  en: { gateway: 128, billed: 104, by: 88, reason: 200 },
  zh: { gateway: 110, billed: 84, by: 76, reason: 150 },
  es: { gateway: 168, billed: 118, by: 92, reason: 220 },
};

function columnsOf(t: Messages, width: (typeof WIDTHS)['en']): Column<Cdr>[] {
  const mono = (text: string) => <span className="mono">{text}</span>;
  const figure = (text: string | null | undefined) => (
    <span className={isNegative(text) ? 'negative' : ''}>{money(text, 4)}</span>
  );
  return [
    {
      key: 'start',
      title: t.records.start,
      width: 168,
      cell: (c) => (
        <span className="mono" title={timeTip(c.start)}>
          {time(c.start)}
        </span>
      ),
    },
    { key: 'caller', title: t.calls.caller, width: 122, cell: (c) => mono(c.caller) },
    { key: 'callee', title: t.calls.callee, width: 122, cell: (c) => mono(c.callee) },
    { key: 'account', title: t.calls.customer, width: 110, grow: true, cell: (c) => c.account ?? NONE },
    { key: 'mapping', title: t.calls.mapping, width: width.gateway, cell: (c) => c.mapping_gateway ?? NONE },
    { key: 'routing', title: t.calls.routing, width: width.gateway, cell: (c) => c.routing_gateway ?? NONE },
    {
      key: 'duration',
      title: t.records.duration,
      width: 82,
      right: true,
      cell: (c) => mono(c.answer ? duration(c.duration_ms / 1000) : NONE),
    },
    {
      key: 'billed',
      title: t.records.billed,
      width: width.billed,
      right: true,
      cell: (c) => mono(c.billed_s > 0 ? duration(c.billed_s) : NONE),
    },
    { key: 'pdd', title: t.calls.pdd, width: 66, right: true, cell: (c) => seconds(c.pdd_ms) },
    {
      key: 'reason',
      title: t.records.endReason,
      width: width.reason,
      grow: true,
      cell: (c) => wordFor(t.endReason, c.end_reason),
    },
    { key: 'code', title: t.records.code, width: 92, cell: (c) => mono(`${c.sip_code || NONE} / ${c.q850 || NONE}`) },
    { key: 'by', title: t.records.endedBy, width: width.by, cell: (c) => wordFor(t.records.by, c.ended_by) },
    { key: 'charge', title: t.records.charge, width: 78, right: true, cell: (c) => figure(c.fee) },
    { key: 'cost', title: t.records.cost, width: 78, right: true, cell: (c) => figure(c.cost) },
    { key: 'profit', title: t.records.profit, width: 82, right: true, cell: (c) => figure(c.profit) },
  ];
}
