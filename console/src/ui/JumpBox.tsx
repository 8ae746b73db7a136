/** Ctrl+K: type a piece of a name and be there. Pages answer at once, accounts and gateways come from the switch. */
import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { Input, type InputRef, Modal } from 'antd';
import { useDeferredValue, useEffect, useRef, useState } from 'react';
import { accounts, mappingGateways, routingGateways } from '../api/resources';
import { useText } from '../i18n';
import { GO } from '../lib/keys';

interface Target {
  key: string;
  label: string;
  kind: string;
  to: string;
}

const EACH = 6;

function useTargets(text: string): Target[] {
  const t = useText();
  const wanted = text.trim().toLowerCase();
  const pages = GO.filter((g) => t.nav[g.name].toLowerCase().includes(wanted)).map((g) => ({
    key: g.to,
    label: t.nav[g.name],
    kind: t.jump.page,
    to: g.to,
  }));
  const query = { q: wanted, limit: EACH };
  const found = useQuery({
    queryKey: ['jump', wanted],
    enabled: wanted !== '',
    queryFn: async () => {
      const [a, m, r] = await Promise.all([
        accounts.list(query),
        mappingGateways.list(query),
        routingGateways.list(query),
      ]);
      return { accounts: a.items, mapping: m.items, routing: r.items };
    },
  });
  const named = (path: string, kind: string, items: { id: string; name: string }[] = []) =>
    items
      .slice(0, EACH)
      .map((i) => ({ key: `${path}/${i.id}`, label: i.name, kind, to: `${path}/${encodeURIComponent(i.id)}` }));
  return [
    ...pages,
    ...named('/accounts', t.jump.account, found.data?.accounts),
    ...named('/mapping-gateways', t.jump.mapping, found.data?.mapping),
    ...named('/routing-gateways', t.jump.routing, found.data?.routing),
  ];
}

export function JumpBox({ onClose }: { onClose: () => void }) {
  const t = useText();
  const navigate = useNavigate();
  const input = useRef<InputRef>(null);
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const targets = useTargets(useDeferredValue(text));
  const current = Math.min(at, targets.length - 1);
  useEffect(() => input.current?.focus(), []);
  const go = (target: Target | undefined) => {
    if (!target) return;
    onClose();
    void navigate({ to: target.to, search: {} });
  };
  const onKeyDown = (event: React.KeyboardEvent) => {
    if (event.key === 'ArrowDown') setAt(Math.min(current + 1, targets.length - 1));
    else if (event.key === 'ArrowUp') setAt(Math.max(current - 1, 0));
    else if (event.key === 'Enter') go(targets[current]);
    else return;
    event.preventDefault();
  };
  return (
    <Modal
      open
      title={t.jump.title}
      onCancel={onClose}
      footer={null}
      width={520}
      closable={false}
      afterOpenChange={(open) => open && input.current?.focus()}
    >
      <Input
        ref={input}
        role="combobox"
        aria-label={t.jump.hint}
        aria-expanded
        aria-controls="jump-list"
        aria-activedescendant={targets.length > 0 ? `jump-${current}` : undefined}
        placeholder={t.jump.hint}
        value={text}
        onChange={(e) => {
          setText(e.target.value);
          setAt(0);
        }}
        onKeyDown={onKeyDown}
      />
      <ul className="jump-list" id="jump-list" role="listbox" aria-label={t.jump.title}>
        {targets.map((target, i) => (
          <li
            key={target.key}
            id={`jump-${i}`}
            role="option"
            aria-selected={i === current}
            className="jump-item"
            onClick={() => go(target)}
            onMouseEnter={() => setAt(i)}
          >
            {target.label}
            <span className="jump-kind">{target.kind}</span>
          </li>
        ))}
      </ul>
      {targets.length === 0 && <p className="muted">{t.jump.nothing}</p>}
    </Modal>
  );
}
