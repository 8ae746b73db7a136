/** A gateway's own values of system parameters: only what differs is kept, and what it replaces is shown beside it. */
import { useQuery } from '@tanstack/react-query';
import { Input, Select } from 'antd';
import { parameters } from '../api/resources';
import { useText } from '../i18n';

interface Props {
  id?: string;
  value?: Record<string, string>;
  onChange?: (value: Record<string, string>) => void;
}

export function ParameterOverrides({ id, value = {}, onChange }: Props) {
  const t = useText();
  const all = useQuery({ queryKey: ['parameters'], queryFn: parameters.list });
  const possible = (all.data ?? []).filter((p) => p.gateway);
  const names = Object.keys(value).sort();
  const set = (name: string, text: string) => onChange?.({ ...value, [name]: text });
  const remove = (name: string) => onChange?.(Object.fromEntries(Object.entries(value).filter(([n]) => n !== name)));
  return (
    <div className="overrides">
      <span className="editor-help">{t.gateways.parametersHelp}</span>
      {names.map((name) => {
        const known = possible.find((p) => p.name === name);
        return (
          <div className="override" key={name}>
            <span>
              <span className="mono">{name}</span>{' '}
              {known && (
                <span className="muted">
                  · {known.help} {known.range} · {t.gateways.parameterInherits(known.value)}
                </span>
              )}
            </span>
            <Input aria-label={name} value={value[name]} onChange={(e) => set(name, e.target.value)} />
            <button
              type="button"
              className="icon-button icon-button-small"
              aria-label={`${t.common.remove}: ${name}`}
              onClick={() => remove(name)}
            >
              ×
            </button>
          </div>
        );
      })}
      <Select
        id={id}
        aria-label={t.gateways.addParameter}
        style={{ maxWidth: 420 }}
        showSearch={{ optionFilterProp: 'search' }}
        value={null}
        placeholder={t.gateways.addParameter}
        loading={all.isPending}
        options={possible
          .filter((p) => !(p.name in value))
          .map((p) => ({ value: p.name, label: p.name, search: [p.name, ...p.aliases, p.help].join(' ') }))}
        onSelect={(name: string | null) => {
          const known = possible.find((p) => p.name === name);
          if (known) set(known.name, known.value);
        }}
      />
    </div>
  );
}
