/** Keys that work everywhere. Single letters never act while someone is typing. */
export interface KeyLike {
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
  typing: boolean;
  now: number;
}

export type KeyAction = { do: 'jump' } | { do: 'filter' } | { do: 'help' } | { do: 'go'; to: string } | null;

const GO_WITHIN_MS = 1_500;

/** Where `g` and a letter lead. */
export const GO: readonly { key: string; to: string; name: PageName }[] = [
  { key: 'o', to: '/', name: 'overview' },
  { key: 'c', to: '/calls', name: 'calls' },
  { key: 'r', to: '/records', name: 'records' },
  { key: 'b', to: '/reports', name: 'reports' },
  { key: 'a', to: '/accounts', name: 'accounts' },
  { key: 'm', to: '/mapping-gateways', name: 'mappingGateways' },
  { key: 't', to: '/routing-gateways', name: 'routingGateways' },
  { key: 'h', to: '/phones', name: 'phones' },
  { key: 'e', to: '/registrations', name: 'registrations' },
  { key: 'w', to: '/gateway-groups', name: 'gatewayGroups' },
  { key: 'n', to: '/number-lists', name: 'numberLists' },
  { key: 'd', to: '/calendars', name: 'calendars' },
  { key: '$', to: '/rates', name: 'rates' },
  { key: 's', to: '/simulate', name: 'simulate' },
  { key: 'p', to: '/parameters', name: 'parameters' },
  { key: 'u', to: '/users', name: 'users' },
  { key: 'l', to: '/audit', name: 'audit' },
  { key: 'v', to: '/changes', name: 'changes' },
  { key: 'y', to: '/status', name: 'status' },
];

export type PageName =
  | 'overview'
  | 'calls'
  | 'records'
  | 'reports'
  | 'accounts'
  | 'mappingGateways'
  | 'routingGateways'
  | 'phones'
  | 'registrations'
  | 'gatewayGroups'
  | 'numberLists'
  | 'calendars'
  | 'rates'
  | 'simulate'
  | 'parameters'
  | 'users'
  | 'audit'
  | 'changes'
  | 'status';

/** Remembers a pressed `g`. */
export class KeyReader {
  private goAt: number | null = null;

  read(event: KeyLike): KeyAction {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') return { do: 'jump' };
    if (event.typing || event.ctrlKey || event.metaKey || event.altKey) return null;
    // Shift is held for "$" and comes as a key of its own; it must not forget the "g".
    if (event.key === 'Shift') return null;
    const afterGo = this.goAt !== null && event.now - this.goAt <= GO_WITHIN_MS;
    this.goAt = null;
    if (afterGo) {
      const target = GO.find((g) => g.key === event.key);
      return target ? { do: 'go', to: target.to } : null;
    }
    if (event.key === 'g') this.goAt = event.now;
    if (event.key === '/') return { do: 'filter' };
    if (event.key === '?') return { do: 'help' };
    return null;
  }
}

export function isTyping(target: EventTarget | null): boolean {
  const element = target as HTMLElement | null;
  return !!element?.closest?.('input, textarea, select, [contenteditable=true]');
}
