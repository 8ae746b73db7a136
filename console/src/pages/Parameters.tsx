/** All parameters in one list that can be searched by name, by old name and by words. */
import { Button } from 'antd';
import { useMemo, useState } from 'react';
import { type Page as PageOf, type Parameter, parameters, type Query } from '../api/resources';
import { type Messages, useText, wordFor } from '../i18n';
import { EditorDrawer } from '../ui/EditorDrawer';
import { choices } from '../ui/fields';
import type { Column } from '../ui/Grid';
import { ListView } from '../ui/ListView';
import { Facts, Page } from '../ui/Page';
import { useSaved } from '../ui/useSaved';

/** The API gives the whole table at once, so it is searched here. */
async function search({ q, group, changed }: Query): Promise<PageOf<Parameter>> {
  const words = String(q ?? '')
    .toLowerCase()
    .split(/\s+/)
    .filter(Boolean);
  const items = (await parameters.list()).filter((p) => {
    const text = [p.name, ...p.aliases, p.help, p.group].join(' ').toLowerCase();
    return words.every((w) => text.includes(w)) && (!group || p.group === group) && (!changed || p.changed);
  });
  return { items, total: items.length };
}

export function Parameters() {
  const t = useText();
  const [editing, setEditing] = useState<Parameter | null>(null);
  const columns = useMemo(() => columnsOf(t), [t]);
  return (
    <Page title={t.nav.parameters} fixed>
      <ListView<Parameter>
        label={t.nav.parameters}
        queryKey={['parameters', 'list']}
        fetch={search}
        columns={columns}
        rowKey={(p) => p.name}
        hint={t.parameters.filterHint}
        filters={[
          {
            name: 'group',
            label: t.parameters.group,
            pinned: true,
            options: choices(t.parameters.groups),
          },
          {
            name: 'changed',
            label: t.parameters.onlyChanged,
            pinned: true,
            options: [{ value: 'true', label: t.common.yes }],
          },
        ]}
        onOpen={setEditing}
        empty={{ text: t.parameters.empty }}
      />
      {editing && <ParameterDrawer parameter={editing} onClose={() => setEditing(null)} />}
    </Page>
  );
}

function ParameterDrawer({ parameter, onClose }: { parameter: Parameter; onClose: () => void }) {
  const t = useText();
  const p = t.parameters;
  const { saved } = useSaved('parameters');
  const save = async (value: string) => {
    await parameters.save(parameter.name, value);
    onClose();
    await saved();
  };
  const label = parameter.unit ? `${p.value} (${parameter.unit})` : p.value;
  const options = parameter.type === 'switch' ? ['On', 'Off'] : parameter.choices;
  return (
    <EditorDrawer<{ value: string }>
      right="system.edit"
      title={parameter.name}
      head={
        <>
          <p>{parameter.help}</p>
          <Facts
            single
            facts={[
              [p.default, parameter.default || t.common.none],
              [p.range, parameter.range],
              [p.effect, parameter.start ? p.needsStart : p.atOnce],
              [p.perGateway, parameter.gateway ? t.common.yes : t.common.no],
            ]}
          />
          <br />
        </>
      }
      sections={[
        {
          fields: [
            options.length > 0
              ? { name: 'value', label, kind: 'choice', options: options.map((v) => ({ value: v, label: v })) }
              : { name: 'value', label, kind: 'text' },
          ],
        },
      ]}
      value={{ value: parameter.value }}
      save={({ value }) => save(value)}
      onClose={onClose}
      extra={parameter.changed && <Button onClick={() => void save(parameter.default)}>{p.reset}</Button>}
    />
  );
}

function columnsOf(t: Messages): Column<Parameter>[] {
  const p = t.parameters;
  const withUnit = (text: string, unit: string | null | undefined) =>
    text === '' ? t.common.none : unit ? `${text} ${unit}` : text;
  return [
    { key: 'name', title: p.name, width: 318, cell: (x) => <span className="mono">{x.name}</span> },
    {
      key: 'value',
      title: p.value,
      width: 116,
      cell: (x) => (x.changed ? <strong>{withUnit(x.value, x.unit)}</strong> : withUnit(x.value, x.unit)),
    },
    {
      key: 'default',
      title: p.default,
      width: 116,
      cell: (x) => <span className="muted">{withUnit(x.default, x.unit)}</span>,
    },
    { key: 'help', title: p.help, width: 270, grow: true, cell: (x) => <span title={x.help}>{x.help}</span> },
    {
      key: 'range',
      title: p.range,
      width: 160,
      cell: (x) => (
        <span className="muted" title={x.range}>
          {x.range}
        </span>
      ),
    },
    { key: 'group', title: p.group, width: 132, cell: (x) => wordFor(p.groups, x.group) },
    { key: 'gateway', title: p.perGateway, width: 116, cell: (x) => (x.gateway ? t.common.yes : t.common.no) },
  ];
}
