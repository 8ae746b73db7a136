import { Dropdown } from 'antd';
import { useState } from 'react';
import { LANGUAGES, type Language, useLanguage, useText } from '../i18n';
import { clock, zone } from '../lib/format';
import { useSignOut } from '../lib/session';
import { useLiveStatus, useServerNow } from '../lib/useLive';
import { OwnDrawer } from './OwnDrawer';
import { StateMark } from './State';
import { type ThemeChoice, useTheme } from './theme';

interface TopBarProps {
  user: string;
  onJump: () => void;
  onHelp: () => void;
  onMenu: () => void;
}

export function TopBar({ user, onJump, onHelp, onMenu }: TopBarProps) {
  const t = useText();
  const signOut = useSignOut();
  const [own, setOwn] = useState(false);
  return (
    <header className="top">
      <button type="button" className="icon-button top-menu" aria-label={t.nav.menu} onClick={onMenu}>
        ☰
      </button>
      <button type="button" className="jump-open" onClick={onJump}>
        <span aria-hidden="true">⌕</span>
        <span className="jump-words">{t.bar.jump}</span>
        <span className="key" aria-hidden="true">
          Ctrl K
        </span>
      </button>
      <span className="top-space" />
      <Freshness />
      <LanguageMenu />
      <ThemeMenu />
      <button
        type="button"
        className="icon-button"
        aria-label={t.bar.help}
        title={`${t.bar.help} (?)`}
        onClick={onHelp}
      >
        ?
      </button>
      <Dropdown
        trigger={['click']}
        menu={{
          items: [
            { key: 'own', label: t.own.title, onClick: () => setOwn(true) },
            { key: 'out', label: t.bar.signOut, onClick: () => void signOut() },
          ],
        }}
      >
        <button type="button" className="icon-button">
          {user} <span aria-hidden="true">▾</span>
        </button>
      </Dropdown>
      {own && <OwnDrawer onClose={() => setOwn(false)} />}
    </header>
  );
}

/** Is what is on screen of this moment? */
function Freshness() {
  const t = useText();
  const status = useLiveStatus();
  const now = useServerNow();
  const tone = { connecting: 'muted', live: 'ok', stale: 'warn', down: 'crit' } as const;
  const last = status.lastAt === null ? '' : t.live.lastData(clock(status.lastAt + status.offsetMs));
  const late = status.state === 'stale' || status.state === 'down';
  return (
    <span className="live" role="status" data-live={status.state} title={last}>
      <StateMark tone={tone[status.state]}>{t.live[status.state]}</StateMark>
      {late ? <span className="live-words">{last}</span> : <span className="mono live-words">{clock(now)}</span>}
      <span className="muted live-zone">{zone()}</span>
    </span>
  );
}

export function LanguageMenu() {
  const { language, choose, texts } = useLanguage();
  const items = Object.entries(LANGUAGES).map(([key, label]) => ({
    key,
    label,
    onClick: () => choose(key as Language),
  }));
  return (
    <Dropdown trigger={['click']} menu={{ items, selectedKeys: [language] }}>
      <button
        type="button"
        className="icon-button"
        aria-label={`${language.toUpperCase()}: ${texts.bar.language}`}
        title={texts.bar.language}
      >
        {language.toUpperCase()}
      </button>
    </Dropdown>
  );
}

export function ThemeMenu() {
  const t = useText();
  const { choice, dark, choose } = useTheme();
  const names: Record<ThemeChoice, string> = {
    system: t.bar.themeSystem,
    light: t.bar.themeLight,
    dark: t.bar.themeDark,
  };
  const items = Object.entries(names).map(([key, label]) => ({
    key,
    label,
    onClick: () => choose(key as ThemeChoice),
  }));
  return (
    <Dropdown trigger={['click']} menu={{ items, selectedKeys: [choice] }}>
      <button type="button" className="icon-button" aria-label={t.bar.theme} title={t.bar.theme}>
        <span aria-hidden="true">{dark ? '☾' : '☀'}</span>
      </button>
    </Dropdown>
  );
}
