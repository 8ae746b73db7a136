import { useQuery } from '@tanstack/react-query';
import { Button } from 'antd';
import { useState } from 'react';
import { type ConsoleUser, roles, users } from '../api/resources';
import { type Messages, useText } from '../i18n';
import { NONE, time } from '../lib/format';
import { useMay, useSession } from '../lib/session';
import { EditorDrawer } from '../ui/EditorDrawer';
import type { Section } from '../ui/EditorForm';
import type { Column } from '../ui/Grid';
import { ListView } from '../ui/ListView';
import { StateMark } from '../ui/State';
import { useSaved } from '../ui/useSaved';
import { searched } from './searched';

interface Draft {
  name: string;
  password: string | null;
  role: string;
  account: string | null;
  disabled: boolean;
  reset_second_factor: boolean;
  note: string;
}

const NEW: Draft = {
  name: '',
  password: null,
  role: 'viewer',
  account: null,
  disabled: false,
  reset_second_factor: false,
  note: '',
};

export function UserList() {
  const t = useText();
  const may = useMay();
  const [editing, setEditing] = useState<ConsoleUser | 'new' | null>(null);
  const add = may('security.edit') && (
    <Button type="primary" onClick={() => setEditing('new')}>
      {t.users.add}
    </Button>
  );
  return (
    <>
      <ListView<ConsoleUser>
        label={t.nav.users}
        queryKey={['users']}
        fetch={async ({ q }) => searched(await users.list(), q, (u) => [u.name, u.role, u.note, u.account ?? ''])}
        columns={columnsOf(t)}
        rowKey={(u) => u.name}
        hint={t.users.hint}
        right={add}
        onOpen={setEditing}
        empty={{ text: t.users.empty, action: add }}
      />
      {editing && <UserDrawer user={editing === 'new' ? null : editing} onClose={() => setEditing(null)} />}
    </>
  );
}

function UserDrawer({ user, onClose }: { user: ConsoleUser | null; onClose: () => void }) {
  const t = useText();
  const me = useSession().data?.name;
  const { saved, confirmDelete } = useSaved('users');
  const known = useQuery({ queryKey: ['roles'], queryFn: roles.list });
  const names = known.data?.items.map((r) => r.name) ?? [];
  const save = async ({ name, disabled, reset_second_factor, password, ...rest }: Draft) => {
    if (user) await users.update(user.name, { ...rest, disabled, reset_second_factor, password });
    else await users.create({ ...rest, name, password: password ?? '' });
    await saved();
    onClose();
  };
  return (
    <EditorDrawer<Draft>
      title={user?.name ?? t.users.add}
      sections={sectionsOf(t, user, names)}
      value={user ? { ...NEW, ...user, account: user.account ?? null } : NEW}
      saveLabel={user ? undefined : t.common.create}
      save={save}
      onClose={onClose}
      extra={
        user &&
        user.name !== me && (
          <p>
            <Button danger onClick={() => confirmDelete(user.name, () => users.remove(user.name), onClose)}>
              {t.common.delete}
            </Button>
          </p>
        )
      }
    />
  );
}

function sectionsOf(t: Messages, user: ConsoleUser | null, roleNames: string[]): Section[] {
  const u = t.users;
  const options = roleNames.map((value) => ({ value, label: value }));
  const fields: Section['fields'] = [
    { name: 'name', label: t.common.name, kind: 'text', needed: true, readOnly: user !== null },
    { name: 'role', label: u.role, kind: 'choice', options },
    {
      name: 'password',
      label: user ? u.newPassword : t.signIn.password,
      kind: 'password',
      nullable: true,
      needed: !user,
      help: u.passwordHelp,
    },
    { name: 'account', label: u.account, kind: 'account', nullable: true, help: u.accountHelp },
    { name: 'note', label: t.common.notes, kind: 'longText' },
  ];
  if (user) {
    fields.push({ name: 'disabled', label: u.disabled, kind: 'switch', help: u.disabledHelp });
    if (user.second_factor) fields.push({ name: 'reset_second_factor', label: u.resetSecond, kind: 'switch' });
  }
  return [{ fields }];
}

function columnsOf(t: Messages): Column<ConsoleUser>[] {
  const u = t.users;
  return [
    { key: 'name', title: t.common.name, width: 150, grow: true, cell: (x) => x.name },
    { key: 'role', title: u.role, width: 140, cell: (x) => x.role },
    {
      key: 'state',
      title: t.common.state,
      width: 120,
      cell: (x) => <StateMark tone={x.disabled ? 'crit' : 'ok'}>{x.disabled ? u.disabled : u.enabled}</StateMark>,
    },
    { key: 'second', title: u.second, width: 130, cell: (x) => (x.second_factor ? t.common.yes : t.common.no) },
    { key: 'account', title: u.account, width: 160, cell: (x) => x.account ?? NONE },
    { key: 'created', title: u.created, width: 170, cell: (x) => time(x.created_at) },
    { key: 'note', title: t.common.notes, width: 200, grow: true, cell: (x) => x.note || NONE },
  ];
}
