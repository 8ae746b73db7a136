import { useNavigate } from '@tanstack/react-router';
import { Button } from 'antd';
import { useMemo, useState } from 'react';
import { type RateGroup, type RateGroupInput, rateGroups } from '../api/resources';
import { type Messages, useText } from '../i18n';
import { count, NONE } from '../lib/format';
import { useMay } from '../lib/session';
import { EditorDrawer } from '../ui/EditorDrawer';
import type { Section } from '../ui/EditorForm';
import type { Column } from '../ui/Grid';
import { ListView } from '../ui/ListView';
import { Page } from '../ui/Page';
import { useSaved } from '../ui/useSaved';

export function RateGroups() {
  const t = useText();
  const navigate = useNavigate();
  const [adding, setAdding] = useState(false);
  const columns = useMemo(() => columnsOf(t), [t]);
  const open = (id: string) => void navigate({ to: '/rates/$id', params: { id }, search: {}, ignoreBlocker: true });
  const { saved } = useSaved('rate-groups');
  const may = useMay();
  const add = may('rates.edit') && (
    <Button type="primary" onClick={() => setAdding(true)}>
      {t.rates.addGroup}
    </Button>
  );
  return (
    <Page title={t.rates.groupsTitle} right={add} fixed>
      <ListView<RateGroup>
        label={t.rates.groupsTitle}
        queryKey={['rate-groups']}
        fetch={rateGroups.list}
        columns={columns}
        rowKey={(g) => g.id}
        hint={t.rates.groupHint}
        defaultSort="name"
        onOpen={(g) => open(g.id)}
        empty={{ text: t.rates.groupsEmpty, action: add }}
      />
      {adding && (
        <EditorDrawer<RateGroupInput>
          title={t.rates.addGroup}
          sections={groupSections(t, true)}
          value={NEW_GROUP}
          saveLabel={t.common.create}
          save={async (value) => {
            const made = await rateGroups.create(value);
            await saved();
            open(made.id);
          }}
          onClose={() => setAdding(false)}
        />
      )}
    </Page>
  );
}

export const NEW_GROUP: RateGroupInput = {
  name: '',
  currency: 'USD',
  time_zone: 'UTC',
  price_change: 'next_call',
  inherits: null,
  mark_up: '0',
  mark_up_decimals: 6,
  notes: '',
};

export function groupSections(t: Messages, isNew: boolean): Section[] {
  return [
    {
      fields: [
        { name: 'name', label: t.common.name, kind: 'text', needed: true },
        { name: 'currency', label: t.common.currency, kind: 'text', needed: true, readOnly: !isNew },
        { name: 'notes', label: t.common.notes, kind: 'longText' },
      ],
    },
  ];
}

function columnsOf(t: Messages): Column<RateGroup>[] {
  return [
    { key: 'name', title: t.common.name, width: 180, grow: true, sort: 'name', cell: (g) => g.name },
    { key: 'currency', title: t.common.currency, width: 90, cell: (g) => g.currency },
    {
      key: 'rates',
      title: t.rates.ratesCount,
      width: 100,
      sort: 'rates_count',
      right: true,
      cell: (g) => count(g.rates_count),
    },
    { key: 'notes', title: t.common.notes, width: 240, grow: true, cell: (g) => g.notes || NONE },
  ];
}
