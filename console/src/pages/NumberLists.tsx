/** Black and white lists of numbers, and their numbers. */
import { useQuery } from '@tanstack/react-query';
import { App, Button, Input } from 'antd';
import { useMemo, useState } from 'react';
import { type NumberList, type NumberListInput, numberLists } from '../api/resources';
import { type Messages, useText } from '../i18n';
import { count, NONE } from '../lib/format';
import { useMay } from '../lib/session';
import { DrawerList } from '../ui/DrawerList';
import type { Section } from '../ui/EditorForm';
import { choices } from '../ui/fields';
import type { Column } from '../ui/Grid';
import { ErrorNote } from '../ui/Notes';
import { useSaved } from '../ui/useSaved';

export const NEW_NUMBER_LIST: NumberListInput = { name: '', system: 'none', notes: '' };

export function NumberLists() {
  const t = useText();
  const columns = useMemo(() => columnsOf(t), [t]);
  return (
    <DrawerList<NumberList, NumberListInput>
      title={t.nav.numberLists}
      list="number-lists"
      addName={t.lists.add}
      empty={t.lists.empty}
      columns={columns}
      store={numberLists}
      start={NEW_NUMBER_LIST}
      sections={sectionsOf(t)}
      head={(list) => <Numbers list={list} />}
    />
  );
}

/** Looks for numbers that begin so, and adds or removes some. */
function Numbers({ list }: { list: NumberList }) {
  const t = useText();
  const may = useMay();
  const { message } = App.useApp();
  const { refresh } = useSaved('number-lists', 'numbers');
  const [begin, setBegin] = useState('');
  const [lines, setLines] = useState('');
  const [failure, setFailure] = useState<unknown>(null);
  const found = useQuery({
    queryKey: ['numbers', list.id, begin],
    queryFn: () => numberLists.numbers(list.id, begin),
  });
  const run = async (change: () => Promise<unknown>) => {
    setFailure(null);
    try {
      await change();
      setLines('');
      void message.success(t.common.saved);
      await refresh();
    } catch (error) {
      setFailure(error);
    }
  };
  return (
    <div className="numbers">
      <Input
        className="mono"
        aria-label={t.lists.begin}
        placeholder={t.lists.begin}
        value={begin}
        onChange={(e) => setBegin(e.target.value.replace(/[^\d*#+A-Da-d]/g, ''))}
      />
      {found.error && <ErrorNote error={found.error} onRetry={() => void found.refetch()} />}
      <ul className="number-rows">
        {found.data?.items.map((number) => (
          <li key={number}>
            <span className="mono">{number}</span>
            {may('routing.edit') && (
              <Button
                size="small"
                aria-label={`${t.common.delete} ${number}`}
                onClick={() => void run(() => numberLists.removeNumber(list.id, number))}
              >
                ×
              </Button>
            )}
          </li>
        ))}
        {found.data?.next && <li className="muted">{t.lists.more}</li>}
        {found.data?.items.length === 0 && <li className="muted">{t.lists.none}</li>}
      </ul>
      {may('routing.edit') && (
        <>
          <Input.TextArea
            className="mono"
            rows={3}
            aria-label={t.lists.addNumbers}
            placeholder={t.lists.addHelp}
            value={lines}
            onChange={(e) => setLines(e.target.value)}
          />
          <Button disabled={lines.trim() === ''} onClick={() => void run(() => numberLists.addNumbers(list.id, lines))}>
            {t.lists.addNumbers}
          </Button>
        </>
      )}
      {failure !== null && <ErrorNote error={failure} />}
    </div>
  );
}

const sectionsOf = (t: Messages): Section[] => [
  {
    fields: [
      { name: 'name', label: t.common.name, kind: 'text', needed: true },
      {
        name: 'system',
        label: t.lists.system,
        kind: 'choice',
        options: choices(t.lists.uses),
        help: t.lists.systemHelp,
      },
      { name: 'notes', label: t.common.notes, kind: 'longText' },
    ],
  },
];

const columnsOf = (t: Messages): Column<NumberList>[] => [
  { key: 'name', title: t.common.name, width: 180, grow: true, sort: 'name', cell: (n) => n.name },
  { key: 'numbers', title: t.lists.numbers, width: 110, right: true, cell: (n) => count(n.numbers_count) },
  { key: 'system', title: t.lists.system, width: 220, cell: (n) => t.lists.uses[n.system ?? 'none'] },
  { key: 'notes', title: t.common.notes, width: 240, grow: true, cell: (n) => n.notes || NONE },
];
