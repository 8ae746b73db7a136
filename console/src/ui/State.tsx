/** States of calls, accounts and gateways: never by colour alone, always a mark and a word. */
import { useText, wordFor } from '../i18n';

type Tone = 'ok' | 'warn' | 'crit' | 'muted';

export function StateMark({ tone, full = true, children }: { tone: Tone; full?: boolean; children: string }) {
  return (
    <span className={`state state-${tone} ${full ? 'state-full' : ''}`}>
      {tone === 'crit' ? <span aria-hidden="true">▲</span> : <span className="state-dot" aria-hidden="true" />}
      {children}
    </span>
  );
}

const CALL_TONES: Record<string, Tone> = { talking: 'ok', ringing: 'warn' };

export function CallState({ state }: { state: string }) {
  const t = useText();
  return (
    <StateMark tone={CALL_TONES[state] ?? 'muted'} full={state !== 'setup'}>
      {wordFor(t.calls.states, state)}
    </StateMark>
  );
}

const ACCOUNT_TONES: Record<string, Tone> = { normal: 'ok', locked: 'crit', expired: 'warn', no_money: 'crit' };

export function AccountState({ state }: { state: string }) {
  const t = useText();
  return <StateMark tone={ACCOUNT_TONES[state] ?? 'muted'}>{wordFor(t.accounts.states, state)}</StateMark>;
}

export function GatewayState({ enabled }: { enabled: boolean }) {
  const t = useText();
  return (
    <StateMark tone={enabled ? 'ok' : 'muted'} full={enabled}>
      {enabled ? t.gateways.up : t.gateways.off}
    </StateMark>
  );
}

export function PhoneState({ phone }: { phone: { enabled: boolean; online: boolean } }) {
  const t = useText();
  if (!phone.enabled) return <StateMark tone="muted">{t.gateways.off}</StateMark>;
  return (
    <StateMark tone={phone.online ? 'ok' : 'muted'} full={phone.online}>
      {phone.online ? t.phones.online : t.phones.offline}
    </StateMark>
  );
}
