/** Every change of the configuration, what it changed, and the way back. */
import { useQuery } from '@tanstack/react-query';
import { App, Button, Drawer, Segmented } from 'antd';
import { useMemo, useState } from 'react';
import { type ConfigChange, type ConfigDifference, changes } from '../api/resources';
import { type Messages, useText, wordFor } from '../i18n';
import { time } from '../lib/format';
import { useMay } from '../lib/session';
import type { Column } from '../ui/Grid';
import { ListView } from '../ui/ListView';
import { ErrorNote, Loading, sentenceOf } from '../ui/Notes';
import { Facts, Page, Scroll } from '../ui/Page';
import { useSaved } from '../ui/useSaved';
import { differences } from './Audit';

export function Changes() {
  const t = useText();
  const [open, setOpen] = useState<ConfigChange | null>(null);
  const columns = useMemo(() => columnsOf(t), [t]);
  return (
    <Page title={t.nav.changes} fixed>
      <ListView<ConfigChange>
        label={t.nav.changes}
        queryKey={['changes']}
        // The log cannot be searched for text; what is typed is taken for a name.
        fetch={({ q, ...query }) => changes.list({ ...query, name: q })}
        columns={columns}
        rowKey={(c) => c.version}
        hint={t.changes.hint}
        filters={[
          { name: 'author', label: t.changes.author, pinned: true },
          { name: 'kind', label: t.changes.kind },
        ]}
        onOpen={setOpen}
        empty={{ text: t.changes.empty }}
      />
      {open && <Details change={open} onClose={() => setOpen(null)} />}
    </Page>
  );
}

function Details({ change, onClose }: { change: ConfigChange; onClose: () => void }) {
  const t = useText();
  const may = useMay();
  const { message, modal } = App.useApp();
  const { saved } = useSaved('changes');
  const [since, setSince] = useState(false);
  const undo = () =>
    modal.confirm({
      title: t.changes.undoTitle(change.version),
      content: t.changes.undoHelp,
      okText: t.changes.undo,
      autoFocusButton: 'cancel',
      onOk: async () => {
        try {
          await changes.undo(change.version);
        } catch (error) {
          void message.error(sentenceOf(error, t));
          return;
        }
        onClose();
        await saved(t.changes.undone);
      },
    });
  return (
    <Drawer
      open
      title={`${t.changes.version} ${change.version}`}
      onClose={onClose}
      size={720}
      extra={may('system.edit') && <Button onClick={undo}>{t.changes.undo}</Button>}
    >
      <Facts
        single
        facts={[
          [t.changes.author, change.author],
          [t.audit.source, change.source || t.audit.within],
          [t.changes.at, time(change.at)],
          ...(change.undoes ? [[t.changes.version, t.changes.undoes(change.undoes)] as [string, string]] : []),
        ]}
      />
      <Segmented
        style={{ marginTop: 12 }}
        aria-label={t.changes.show}
        value={since ? 'since' : 'this'}
        onChange={(value) => setSince(value === 'since')}
        options={[
          { value: 'this', label: t.changes.onlyThis },
          { value: 'since', label: t.changes.sinceThen },
        ]}
      />
      {since ? <Since version={change.version} /> : <Differences items={change.items} />}
    </Drawer>
  );
}

/** The state before a change beside the present. */
function Since({ version }: { version: string }) {
  const before = String(BigInt(version) - 1n);
  const result = useQuery({
    queryKey: ['changes', 'since', version],
    queryFn: () => changes.compare(before, undefined),
  });
  if (result.isPending) return <Loading />;
  if (result.error) return <ErrorNote error={result.error} onRetry={() => void result.refetch()} />;
  return <Differences items={result.data.items} />;
}

function Differences({ items }: { items: ConfigDifference[] }) {
  const t = useText();
  if (items.length === 0) return <p className="muted">{t.changes.none}</p>;
  return items.map((item) => (
    <Scroll key={`${item.kind} ${item.name}`} label={item.name}>
      <table className="table">
        <caption className="table-caption">{titleOf(item, t)}</caption>
        <thead>
          <tr>
            <th>{t.audit.field}</th>
            <th>{t.audit.before}</th>
            <th>{t.audit.after}</th>
          </tr>
        </thead>
        <tbody>
          {differences(item.before, item.after).map(([field, before, after]) => (
            <tr key={field}>
              <th scope="row">{field}</th>
              <td className="mono">{before}</td>
              <td className="mono">{after}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  ));
}

const titleOf = (item: ConfigDifference, t: Messages) => `${wordFor(t.audit.kinds, item.kind)} ${item.name}`;

function columnsOf(t: Messages): Column<ConfigChange>[] {
  const c = t.changes;
  return [
    { key: 'version', title: c.version, width: 90, right: true, cell: (x) => x.version },
    { key: 'at', title: c.at, width: 170, cell: (x) => time(x.at) },
    { key: 'author', title: c.author, width: 130, cell: (x) => x.author },
    { key: 'source', title: t.audit.source, width: 140, cell: (x) => x.source || t.audit.within },
    {
      key: 'items',
      title: c.items,
      width: 300,
      grow: true,
      cell: (x) => x.items.map((item) => titleOf(item, t)).join(', '),
    },
  ];
}
