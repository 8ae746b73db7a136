/** Who may sign in, what roles allow, keys for programs, and from where the console is reached. */
import { Tabs } from 'antd';
import { useText } from '../i18n';
import { useUrl } from '../lib/url';
import { Page } from '../ui/Page';
import { AccessPanel } from './AccessPanel';
import { KeyList } from './KeyList';
import { RoleList } from './RoleList';
import { UserList } from './UserList';

const TABS = { users: UserList, roles: RoleList, keys: KeyList, access: AccessPanel };
type Tab = keyof typeof TABS;

export function Users() {
  const t = useText();
  const { search, change } = useUrl();
  const tab: Tab = search.tab && search.tab in TABS ? (search.tab as Tab) : 'users';
  const Shown = TABS[tab];
  return (
    <Page title={t.nav.users} fixed>
      <Tabs
        tabBarStyle={{ marginBottom: 0 }}
        activeKey={tab}
        onChange={(key) => change({ tab: key === 'users' ? undefined : key, q: undefined, sort: undefined })}
        items={(Object.keys(TABS) as Tab[]).map((key) => ({ key, label: t.users.tabs[key] }))}
      />
      <Shown />
    </Page>
  );
}
