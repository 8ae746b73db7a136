/** Who changed what, from where; with what it was before and after. */
import { Drawer } from 'antd';
import { useMemo, useState } from 'react';
import { type AuditEntry, audit } from '../api/resources';
import { type Messages, useText, wordFor } from '../i18n';
import { NONE, time } from '../lib/format';
import { choices } from '../ui/fields';
import type { Column } from '../ui/Grid';
import { ListView } from '../ui/ListView';
import { Facts, Page, Scroll } from '../ui/Page';

export function Audit() {
  const t = useText();
  const [open, setOpen] = useState<AuditEntry | null>(null);
  const columns = useMemo(() => columnsOf(t), [t]);
  return (
    <Page title={t.nav.audit} fixed>
      <ListView<AuditEntry>
        label={t.nav.audit}
        queryKey={['audit']}
        // The log cannot be searched for text; what is typed is taken for a name.
        fetch={({ q, ...query }) => audit.list({ ...query, object: q })}
        columns={columns}
        rowKey={(e) => e.seq}
        hint={t.audit.hint}
        filters={[
          { name: 'author', label: t.audit.author, pinned: true },
          { name: 'action', label: t.audit.action, pinned: true, options: choices(t.audit.actions) },
          { name: 'kind', label: t.audit.kind, options: choices(t.audit.kinds) },
        ]}
        defaultSort="-seq"
        onOpen={setOpen}
        empty={{ text: t.audit.empty }}
      />
      {open && <Entry entry={open} onClose={() => setOpen(null)} />}
    </Page>
  );
}

function Entry({ entry, onClose }: { entry: AuditEntry; onClose: () => void }) {
  const t = useText();
  const changes = differences(entry.before, entry.after);
  return (
    <Drawer open title={`${wordFor(t.audit.kinds, entry.kind)} ${entry.object}`} onClose={onClose} size={560}>
      <Facts
        single
        facts={[
          [t.audit.action, wordFor(t.audit.actions, entry.action)],
          [t.audit.author, entry.author],
          [t.audit.source, entry.source || t.audit.within],
          [t.audit.at, time(entry.at)],
        ]}
      />
      {changes.length > 0 && (
        <Scroll label={t.audit.changes}>
          <table className="table">
            <thead>
              <tr>
                <th>{t.audit.field}</th>
                <th>{t.audit.before}</th>
                <th>{t.audit.after}</th>
              </tr>
            </thead>
            <tbody>
              {changes.map(([field, before, after]) => (
                <tr key={field}>
                  <th scope="row">{field}</th>
                  <td className="mono">{before}</td>
                  <td className="mono">{after}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </Drawer>
  );
}

/** Only the fields that differ: field, before, after. */
export function differences(before: unknown, after: unknown): [field: string, before: string, after: string][] {
  const isObject = (v: unknown): v is Record<string, unknown> =>
    typeof v === 'object' && v !== null && !Array.isArray(v);
  const text = (v: unknown) => (v === undefined || v === null ? NONE : typeof v === 'string' ? v : JSON.stringify(v));
  if (!isObject(before ?? {}) || !isObject(after ?? {})) {
    return text(before) === text(after) ? [] : [['', text(before), text(after)]];
  }
  const [old, now] = [(before ?? {}) as Record<string, unknown>, (after ?? {}) as Record<string, unknown>];
  const fields = [...new Set([...Object.keys(old), ...Object.keys(now)])].sort();
  return fields
    .map((field): [string, string, string] => [field, text(old[field]), text(now[field])])
    .filter(([, was, is]) => was !== is);
}

function columnsOf(t: Messages): Column<AuditEntry>[] {
  const a = t.audit;
  return [
    { key: 'at', title: a.at, width: 170, cell: (e) => time(e.at) },
    { key: 'author', title: a.author, width: 130, cell: (e) => e.author },
    { key: 'source', title: a.source, width: 140, cell: (e) => e.source || a.within },
    { key: 'action', title: a.action, width: 130, cell: (e) => wordFor(a.actions, e.action) },
    { key: 'kind', title: a.kind, width: 150, cell: (e) => wordFor(a.kinds, e.kind) },
    { key: 'object', title: a.object, width: 180, grow: true, cell: (e) => e.object },
    {
      key: 'changes',
      title: a.changes,
      width: 260,
      grow: true,
      cell: (e) => (
        <span className="muted">
          {differences(e.before, e.after)
            .map(([field]) => field)
            .join(', ') || NONE}
        </span>
      ),
    },
  ];
}
