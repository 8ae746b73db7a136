/** One account: what it has, its settings, its ledger. */
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams } from '@tanstack/react-router';
import { Button, Tabs } from 'antd';
import { useState } from 'react';
import { type Account, type AccountInput, accounts } from '../api/resources';
import { useText, wordFor } from '../i18n';
import { amount, count, isNegative } from '../lib/format';
import { useMay } from '../lib/session';
import { useUrl } from '../lib/url';
import { EditorForm } from '../ui/EditorForm';
import { ErrorNote, Loading } from '../ui/Notes';
import { Facts, Page, Panel } from '../ui/Page';
import { PaymentDialog } from '../ui/PaymentDialog';
import { AccountState } from '../ui/State';
import { useSaved } from '../ui/useSaved';
import { accountSections, NEW_ACCOUNT } from './accountFields';
import { Ledger } from './Ledger';

const REFRESH_MS = 3_000;

export function AccountPage() {
  const { id = '' } = useParams({ strict: false });
  return id === 'new' ? <NewAccount /> : <ExistingAccount id={id} />;
}

function Crumbs({ name }: { name: string }) {
  const t = useText();
  return (
    <>
      <Link to="/accounts" search={{}}>
        {t.nav.accounts}
      </Link>
      {` / ${name}`}
    </>
  );
}

function NewAccount() {
  const t = useText();
  const navigate = useNavigate();
  const { saved } = useSaved('accounts');
  const save = async (value: AccountInput) => {
    const made = await accounts.create(value);
    await saved();
    void navigate({ to: '/accounts/$id', params: { id: made.id }, search: {}, ignoreBlocker: true });
  };
  return (
    <Page name={t.accounts.add} title={<Crumbs name={t.accounts.add} />}>
      <EditorForm<AccountInput>
        sections={accountSections(t, true)}
        value={NEW_ACCOUNT}
        save={save}
        saveLabel={t.common.create}
        onCancel={() => void navigate({ to: '/accounts', search: {} })}
      />
    </Page>
  );
}

function ExistingAccount({ id }: { id: string }) {
  const t = useText();
  const may = useMay();
  const [paying, setPaying] = useState(false);
  const account = useQuery({ queryKey: ['account', id], queryFn: () => accounts.get(id), refetchInterval: REFRESH_MS });
  const shown = account.data;
  return (
    <Page
      name={shown?.name ?? t.nav.accounts}
      title={<Crumbs name={shown?.name ?? '…'} />}
      fixed
      right={
        shown &&
        may('money.edit') && (
          <Button type="primary" onClick={() => setPaying(true)}>
            {t.accounts.addPayment}
          </Button>
        )
      }
    >
      {account.isPending && <Loading />}
      {account.error && <ErrorNote error={account.error} onRetry={() => void account.refetch()} />}
      {shown && <Summary account={shown} />}
      {shown && <Contents account={shown} />}
      {paying && shown && <PaymentDialog account={shown} onClose={() => setPaying(false)} />}
    </Page>
  );
}

function Summary({ account }: { account: Account }) {
  const t = useText();
  const sum = (text: string | null | undefined) => (
    <strong className={isNegative(text) ? 'negative' : undefined}>{amount(text, account.currency)}</strong>
  );
  return (
    <Panel>
      <Facts
        facts={[
          [t.common.state, <AccountState key="state" state={account.state} />],
          [t.accounts.balance, sum(account.balance)],
          [t.accounts.available, sum(account.available)],
          [t.accounts.reserved, amount(account.reserved, account.currency)],
          [
            t.accounts.kind,
            `${wordFor(t.accounts.kinds, account.kind)}, ${wordFor(t.accounts.payments, account.payment)}`,
          ],
          [
            t.accounts.calls,
            <Link key="calls" to="/calls" search={{ account: account.name }}>
              {count(account.calls)}
            </Link>,
          ],
        ]}
      />
    </Panel>
  );
}

function Contents({ account }: { account: Account }) {
  const t = useText();
  const { search, change } = useUrl();
  const navigate = useNavigate();
  const { saved, confirmDelete } = useSaved('accounts', 'account');
  const tab = search.tab ?? 'ledger';
  const save = async (value: AccountInput, version: string) => {
    await accounts.update(account.id, value, version);
    await saved();
  };
  return (
    <>
      <Tabs
        tabBarStyle={{ marginBottom: 0 }}
        activeKey={tab}
        onChange={(key) => change({ tab: key === 'ledger' ? undefined : key, sort: undefined, q: undefined })}
        items={[
          { key: 'ledger', label: t.accounts.ledger },
          { key: 'settings', label: t.accounts.settings },
        ]}
      />
      {tab === 'settings' ? (
        <EditorForm<Account>
          right="accounts.edit"
          sections={accountSections(t, false)}
          keeps={Object.keys(NEW_ACCOUNT)}
          value={account}
          save={(value) => save(value, account.version)}
          reload={() => accounts.get(account.id)}
          saveOver={async (value) => save(value, (await accounts.get(account.id)).version)}
          extra={
            <p>
              <Button
                danger
                onClick={() =>
                  confirmDelete(
                    account.name,
                    () => accounts.remove(account.id),
                    () => void navigate({ to: '/accounts', search: {} }),
                  )
                }
              >
                {t.common.delete}
              </Button>
            </p>
          }
        />
      ) : (
        <Ledger account={account} />
      )}
    </>
  );
}
