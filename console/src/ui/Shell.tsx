/** The frame around every page: navigation, top bar, the keys that work everywhere. */
import { useQuery } from '@tanstack/react-query';
import { Link, Outlet, useNavigate } from '@tanstack/react-router';
import { Drawer } from 'antd';
import { useEffect, useState } from 'react';
import { system } from '../api/resources';
import { useText } from '../i18n';
import { count } from '../lib/format';
import { GO, isTyping, KeyReader, type PageName } from '../lib/keys';
import { useMay, useSession } from '../lib/session';
import { useTotals } from '../lib/useLive';
import { SignIn } from '../pages/SignIn';
import { HelpDialog } from './HelpDialog';
import { JumpBox } from './JumpBox';
import { ErrorNote } from './Notes';
import { TopBar } from './TopBar';

export function Root() {
  const session = useSession();
  if (session.isPending) return null;
  if (session.error)
    return (
      <div className="sign-in">
        <ErrorNote error={session.error} onRetry={() => void session.refetch()} />
      </div>
    );
  return session.data ? <Shell user={session.data.name} /> : <SignIn />;
}

type Layer = 'jump' | 'help' | 'menu' | null;

function Shell({ user }: { user: string }) {
  const t = useText();
  const [layer, setLayer] = useState<Layer>(null);
  const close = () => setLayer(null);
  useGlobalKeys(setLayer);
  const status = useQuery({ queryKey: ['status'], queryFn: system.status, refetchInterval: 60_000 });
  return (
    <div className="shell">
      <a className="skip" href="#main">
        {t.common.details}
      </a>
      <aside className="side side-fixed">
        <Navigation />
      </aside>
      <TopBar
        user={user}
        onJump={() => setLayer('jump')}
        onHelp={() => setLayer('help')}
        onMenu={() => setLayer('menu')}
      />
      <main className="main" id="main" tabIndex={-1}>
        {status.data?.demo && <div className="demo-bar">{t.bar.demo}</div>}
        <Outlet />
      </main>
      <Drawer
        open={layer === 'menu'}
        placement="left"
        size={230}
        onClose={close}
        closable={false}
        aria-label={t.nav.menu}
        styles={{ body: { padding: 0 }, section: { background: 'var(--side)' } }}
      >
        {/* biome-ignore lint/a11y/useKeyWithClickEvents lint/a11y/noStaticElementInteractions: a click on a link inside closes the menu; the links have the keys */}
        <div className="side" onClick={close}>
          <Navigation />
        </div>
      </Drawer>
      {layer === 'jump' && <JumpBox onClose={close} />}
      {layer === 'help' && <HelpDialog onClose={close} />}
    </div>
  );
}

const GROUPS: PageName[][] = [
  ['overview', 'calls', 'records', 'reports'],
  ['accounts', 'mappingGateways', 'routingGateways', 'phones', 'registrations', 'rates', 'simulate'],
  ['gatewayGroups', 'numberLists', 'calendars'],
  ['parameters', 'changes', 'users', 'audit', 'status'],
];

/** The right that a page needs; who is held to one account sees only pages of that account. */
const NEEDS: Record<PageName, string> = {
  overview: 'calls.view',
  calls: 'calls.view',
  records: 'records.view',
  reports: 'records.view',
  accounts: 'accounts.view',
  mappingGateways: 'routing.view',
  routingGateways: 'routing.view',
  phones: 'routing.view',
  registrations: 'routing.view',
  gatewayGroups: 'routing.view',
  numberLists: 'routing.view',
  calendars: 'routing.view',
  rates: 'rates.view',
  simulate: 'routing.view',
  parameters: 'system.view',
  users: 'security.view',
  audit: 'security.view',
  changes: 'system.view',
  status: 'calls.view',
};
const HELD: PageName[] = ['calls', 'records', 'accounts'];

function Navigation() {
  const t = useText();
  const totals = useTotals();
  const may = useMay();
  const held = useSession().data?.account != null;
  return (
    <nav aria-label={t.nav.main}>
      <div className="brand">
        <img src="/icon.svg" alt="" />
        {t.app}
      </div>
      {GROUPS.map((group, i) => (
        <div key={group[0]}>
          {i > 0 && <div className="nav-gap" />}
          {group.map((name) => {
            const page = GO.find((g) => g.name === name);
            if (!page || !may(NEEDS[name]) || (held && !HELD.includes(name))) return null;
            return (
              <Link
                key={name}
                to={page.to}
                className="nav-link"
                activeOptions={{ exact: page.to === '/', includeSearch: false }}
              >
                {t.nav[name]}
                {name === 'calls' && totals && <span className="nav-badge">{count(totals.calls)}</span>}
              </Link>
            );
          })}
        </div>
      ))}
    </nav>
  );
}

function useGlobalKeys(setLayer: (layer: Layer) => void) {
  const navigate = useNavigate();
  useEffect(() => {
    const reader = new KeyReader();
    const onKey = (event: KeyboardEvent) => {
      const { key, ctrlKey, metaKey, altKey } = event;
      const action = reader.read({ key, ctrlKey, metaKey, altKey, typing: isTyping(event.target), now: Date.now() });
      if (!action) return;
      event.preventDefault();
      if (action.do === 'go') void navigate({ to: action.to, search: {} });
      else if (action.do === 'filter') document.querySelector<HTMLInputElement>('input[data-filter]')?.focus();
      else setLayer(action.do);
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, [navigate, setLayer]);
}
