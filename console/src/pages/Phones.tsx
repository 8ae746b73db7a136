/** Phones: devices of an account that register here. */
import { useNavigate } from '@tanstack/react-router';
import { Button } from 'antd';
import { useMemo } from 'react';
import { type Phone, phones } from '../api/resources';
import { type Messages, useText } from '../i18n';
import { count, NONE } from '../lib/format';
import { useMay } from '../lib/session';
import type { Column } from '../ui/Grid';
import { ListView } from '../ui/ListView';
import { Page } from '../ui/Page';
import { PhoneState } from '../ui/State';

const REFRESH_MS = 3_000;

export function Phones() {
  const t = useText();
  const navigate = useNavigate();
  const may = useMay();
  const columns = useMemo(() => columnsOf(t), [t]);
  const open = (id: string) => void navigate({ to: '/phones/$id', params: { id }, search: {} });
  const add = may('routing.edit') && (
    <Button type="primary" onClick={() => open('new')}>
      {t.phones.add}
    </Button>
  );
  return (
    <Page title={t.nav.phones} right={add} fixed>
      <ListView<Phone>
        label={t.nav.phones}
        queryKey={['phones']}
        fetch={phones.list}
        columns={columns}
        rowKey={(p) => p.id}
        hint={t.phones.hint}
        filters={[
          { name: 'account', label: t.common.account, pinned: true },
          {
            name: 'online',
            label: t.phones.online,
            pinned: true,
            options: [
              { value: 'true', label: t.phones.online },
              { value: 'false', label: t.phones.offline },
            ],
          },
        ]}
        defaultSort="number"
        refreshMs={REFRESH_MS}
        onOpen={(p) => open(p.id)}
        empty={{ text: t.phones.empty, action: add }}
      />
    </Page>
  );
}

function columnsOf(t: Messages): Column<Phone>[] {
  return [
    {
      key: 'number',
      title: t.phones.number,
      width: 140,
      grow: true,
      sort: 'number',
      cell: (p) => <span className="mono">{p.number}</span>,
    },
    { key: 'state', title: t.common.state, width: 150, cell: (p) => <PhoneState phone={p} /> },
    { key: 'account', title: t.common.account, width: 140, grow: true, sort: 'account', cell: (p) => p.account },
    {
      key: 'source',
      title: t.registrations.source,
      width: 180,
      cell: (p) => <span className="mono">{p.registration?.contacts[0]?.source ?? NONE}</span>,
    },
    {
      key: 'device',
      title: t.registrations.device,
      width: 180,
      grow: true,
      cell: (p) => p.registration?.contacts[0]?.user_agent ?? NONE,
    },
    {
      key: 'calls',
      title: t.gateways.calls,
      width: 124,
      right: true,
      cell: (p) => `${count(p.calls)} / ${p.max_concurrency ?? '∞'}`,
    },
  ];
}
