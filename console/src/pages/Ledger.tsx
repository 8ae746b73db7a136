/** Every change of a balance, newest first. Rows are never edited, only followed by corrections. */
import { Link } from '@tanstack/react-router';
import { useCallback, useMemo } from 'react';
import { type Account, accounts, type LedgerEntry, type Query } from '../api/resources';
import { type Messages, useText, wordFor } from '../i18n';
import { isNegative, money, NONE, price, time, timeTip } from '../lib/format';
import type { Column } from '../ui/Grid';
import { ListView } from '../ui/ListView';

const REFRESH_MS = 3_000;

export function Ledger({ account }: { account: Account }) {
  const t = useText();
  const columns = useMemo(() => columnsOf(t, account.currency), [t, account.currency]);
  const fetch = useCallback((query: Query) => accounts.ledger(account.id, query), [account.id]);
  return (
    <ListView<LedgerEntry>
      label={t.accounts.ledger}
      queryKey={['account', account.id, 'ledger']}
      fetch={fetch}
      columns={columns}
      rowKey={(e) => String(e.seq)}
      hint={t.ledger.note}
      refreshMs={REFRESH_MS}
      empty={{ text: t.ledger.empty }}
    />
  );
}

function columnsOf(t: Messages, currency: string): Column<LedgerEntry>[] {
  const mono = (text: string) => <span className="mono">{text}</span>;
  return [
    {
      key: 'at',
      title: t.ledger.at,
      width: 168,
      cell: (e) => (
        <span className="mono" title={timeTip(e.at)}>
          {time(e.at)}
        </span>
      ),
    },
    { key: 'kind', title: t.ledger.kind, width: 120, cell: (e) => wordFor(t.ledger.kinds, e.kind) },
    {
      key: 'amount',
      title: `${t.ledger.amount} (${currency})`,
      width: 130,
      right: true,
      cell: (e) => <span className={isNegative(e.amount) ? 'negative' : ''}>{price(e.amount)}</span>,
    },
    { key: 'after', title: t.ledger.after, width: 130, right: true, cell: (e) => money(e.balance_after, 4) },
    { key: 'by', title: t.ledger.by, width: 110, cell: (e) => e.by || NONE },
    { key: 'note', title: t.ledger.note, width: 200, grow: true, cell: (e) => e.note || NONE },
    {
      key: 'call',
      title: t.ledger.call,
      width: 170,
      cell: (e) =>
        e.call_id ? (
          <Link to="/records/$id" params={{ id: e.call_id }} search={{}}>
            {mono(e.call_id)}
          </Link>
        ) : (
          NONE
        ),
    },
  ];
}
