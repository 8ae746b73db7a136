import { useNavigate } from '@tanstack/react-router';
import { Button } from 'antd';
import { useMemo } from 'react';
import { type Account, accounts } from '../api/resources';
import { type Messages, useText, wordFor } from '../i18n';
import { count, isNegative, money, NONE } from '../lib/format';
import { useMay } from '../lib/session';
import { choices } from '../ui/fields';
import type { Column } from '../ui/Grid';
import { ListView } from '../ui/ListView';
import { Page } from '../ui/Page';
import { AccountState } from '../ui/State';

const REFRESH_MS = 3_000;

export function Accounts() {
  const t = useText();
  const navigate = useNavigate();
  const columns = useMemo(() => columnsOf(t), [t]);
  const open = (id: string) => void navigate({ to: '/accounts/$id', params: { id }, search: {} });
  const may = useMay();
  const add = may('accounts.edit') && (
    <Button type="primary" onClick={() => open('new')}>
      {t.accounts.add}
    </Button>
  );
  return (
    <Page title={t.nav.accounts} right={add} fixed>
      <ListView<Account>
        label={t.nav.accounts}
        queryKey={['accounts']}
        fetch={accounts.list}
        columns={columns}
        rowKey={(a) => a.id}
        hint={t.accounts.filterHint}
        filters={[{ name: 'kind', label: t.accounts.kind, pinned: true, options: choices(t.accounts.kinds) }]}
        defaultSort="name"
        refreshMs={REFRESH_MS}
        onOpen={(a) => open(a.id)}
        empty={{ text: t.accounts.empty, action: add }}
      />
    </Page>
  );
}

function columnsOf(t: Messages): Column<Account>[] {
  const figure = (text: string | null | undefined) => (
    <span className={isNegative(text) ? 'negative' : ''}>{money(text)}</span>
  );
  return [
    { key: 'name', title: t.common.name, width: 150, grow: true, sort: 'name', cell: (a) => a.name },
    { key: 'kind', title: t.accounts.kind, width: 96, sort: 'kind', cell: (a) => wordFor(t.accounts.kinds, a.kind) },
    { key: 'state', title: t.common.state, width: 104, sort: 'state', cell: (a) => <AccountState state={a.state} /> },
    { key: 'payment', title: t.accounts.payment, width: 118, cell: (a) => wordFor(t.accounts.payments, a.payment) },
    {
      key: 'balance',
      title: t.accounts.balance,
      width: 120,
      right: true,
      sort: 'balance',
      cell: (a) => figure(a.balance),
    },
    { key: 'reserved', title: t.accounts.reserved, width: 96, right: true, cell: (a) => money(a.reserved) },
    {
      key: 'available',
      title: t.accounts.available,
      width: 120,
      sort: 'available',
      right: true,
      cell: (a) => figure(a.available),
    },
    { key: 'currency', title: t.common.currency, width: 88, cell: (a) => a.currency },
    {
      key: 'limit',
      title: t.accounts.creditLimit,
      width: 124,
      right: true,
      cell: (a) => (a.credit_limit == null ? t.common.notSet : money(a.credit_limit)),
    },
    {
      key: 'calls',
      title: t.accounts.calls,
      width: 116,
      right: true,
      sort: 'calls',
      cell: (a) => `${count(a.calls)} / ${a.max_concurrency ?? '∞'}`,
    },
    {
      key: 'group',
      title: t.accounts.rateGroup,
      width: 140,
      sort: 'rate_group',
      grow: true,
      cell: (a) => a.rate_group ?? NONE,
    },
  ];
}
