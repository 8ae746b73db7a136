/** Kinds of form fields, and how their values go between the API's document and the form. */
import { useQuery } from '@tanstack/react-query';
import { Form, Input, InputNumber, Select, Switch } from 'antd';
import type { Rule } from 'antd/es/form';
import {
  accounts,
  calendars,
  gatewayGroups,
  mappingGateways,
  numberLists,
  rateGroups,
  routingGateways,
} from '../api/resources';
import { type Messages, useText } from '../i18n';
import { ParameterOverrides } from './ParameterOverrides';

/** A closed choice from a table of words. */
export const choices = (words: Record<string, string>) =>
  Object.entries(words).map(([value, label]) => ({ value, label }));

/** What can be picked by name, by the key under which its names are kept. */
const NAMED = {
  accounts: accounts.list,
  'rate-groups': rateGroups.list,
  calendars: calendars.list,
  'number-lists': numberLists.list,
  'gateway-groups': gatewayGroups.list,
  'mapping-gateways': mappingGateways.list,
  'routing-gateways': routingGateways.list,
};

/** How an entry of a list stands on its line. */
export interface Codec {
  read: (line: string) => unknown;
  write: (entry: never) => string;
}

export interface Field {
  /** With dots for what lies deeper in the document: `routing.numbers.called`. */
  name: string;
  label: string;
  kind:
    | 'text'
    | 'longText'
    | 'lines'
    | 'password'
    | 'whole'
    | 'decimal'
    | 'switch'
    | 'choice'
    | 'texts'
    | 'wholes'
    | 'account'
    | 'rateGroup'
    | 'pick'
    | 'picks'
    | 'parameters';
  help?: string;
  placeholder?: string;
  needed?: boolean;
  /** An emptied field becomes `null`, "not set", instead of an empty text. */
  nullable?: boolean;
  options?: { value: string; label: string }[];
  /** For `pick` and `picks`. */
  of?: keyof typeof NAMED;
  /** For `lines` of entries that are not plain text. */
  codec?: Codec;
  readOnly?: boolean;
  mono?: boolean;
}

type Document = Record<string, unknown>;

export function toForm(fields: Field[], document: Document): Document {
  return Object.fromEntries(fields.map((f) => [f.name, toField(f, valueAt(document, f.name))]));
}

const valueAt = (document: Document, name: string): unknown =>
  name.split('.').reduce<unknown>((value, part) => (value as Document | null | undefined)?.[part], document);

/** `document` with one value replaced, as deep as its name says; what lies beside it stays. */
function withValue(document: Document, [first = '', ...rest]: string[], value: unknown): Document {
  const inner = rest.length === 0 ? value : withValue((document[first] as Document | undefined) ?? {}, rest, value);
  return { ...document, [first]: inner };
}

function toField(field: Field, value: unknown): unknown {
  if (field.kind === 'wholes') return ((value as number[] | null) ?? []).map(String);
  if (field.kind === 'lines') {
    const write = field.codec?.write as ((entry: unknown) => string) | undefined;
    return ((value as unknown[] | null) ?? []).map((entry) => (write ? write(entry) : String(entry))).join('\n');
  }
  if (field.kind === 'texts' || field.kind === 'picks') return value ?? [];
  return value ?? undefined;
}

export function fromForm(fields: Field[], values: Document, before: Document): Document {
  const parts = fields.map((f) => ({ field: f, path: f.name.split('.') }));
  const deep = parts.filter(({ path }) => path.length > 1).map(({ path }) => path[0] ?? '');
  const kept = Object.fromEntries(deep.map((name) => [name, before[name] ?? {}]));
  return parts.reduce<Document>((document, { field, path }) => {
    const value = field.readOnly ? valueAt(before, field.name) : fromField(field, values[field.name]);
    return withValue(document, path, value);
  }, kept);
}

/** A list with one entry a line. */
const linesOf = (value: unknown) =>
  String(value ?? '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');

function fromField(field: Field, value: unknown): unknown {
  switch (field.kind) {
    case 'wholes': {
      const list = ((value as string[] | undefined) ?? []).map(Number);
      return list.length === 0 && field.nullable ? null : list;
    }
    case 'lines':
      return field.codec ? linesOf(value).map(field.codec.read) : linesOf(value);
    case 'texts':
    case 'picks':
      return value ?? [];
    case 'switch':
      return value === true;
    case 'whole':
      return value ?? (field.nullable ? null : 0);
    case 'parameters':
      return value ?? {};
    case 'longText':
      return value ?? '';
    default: {
      const text = typeof value === 'string' ? value.trim() : value;
      return text === '' || text === undefined || text === null ? (field.nullable ? null : '') : text;
    }
  }
}

function rulesOf(field: Field, t: Messages): Rule[] {
  const rules: Rule[] = [];
  if (field.needed) rules.push({ required: true, message: t.common.requiredField });
  if (field.needed && field.kind === 'text') rules.push({ whitespace: true, message: t.common.requiredField });
  if (field.kind === 'decimal') rules.push({ pattern: /^-?\d+(\.\d+)?$/, message: t.common.decimalNumber });
  if (field.kind === 'wholes') {
    const valid = (list: string[] | undefined) => (list ?? []).every((v) => /^\d+$/.test(v));
    rules.push({
      validator: (_, v) => (valid(v) ? Promise.resolve() : Promise.reject(new Error(t.common.wholeNumber))),
    });
  }
  return rules;
}

export function FieldInput({ field }: { field: Field }) {
  const t = useText();
  const wide = field.kind === 'longText' || field.kind === 'lines' || field.kind === 'parameters';
  return (
    <Form.Item
      name={field.name}
      label={field.label}
      className={wide ? 'editor-wide' : undefined}
      rules={rulesOf(field, t)}
      validateTrigger={[]}
      valuePropName={field.kind === 'switch' ? 'checked' : 'value'}
      extra={field.help && <span className="editor-help">{field.help}</span>}
    >
      <Control field={field} />
    </Form.Item>
  );
}

/** Form.Item hands its `id`, `value` and `onChange` to its only child; this passes them on. */
function Control({ field, ...given }: { field: Field }) {
  const t = useText();
  switch (field.kind) {
    case 'lines':
      return <Input.TextArea {...given} rows={3} className="mono" spellCheck={false} />;
    case 'longText':
      return <Input.TextArea {...given} rows={2} />;
    case 'password':
      return <Input.Password {...given} autoComplete="new-password" placeholder={field.placeholder} />;
    case 'whole':
      return (
        <InputNumber
          {...given}
          min={0}
          precision={0}
          style={{ width: '100%' }}
          placeholder={field.placeholder ?? (field.nullable ? t.common.noLimitHint : undefined)}
        />
      );
    case 'switch':
      return <Switch {...given} />;
    case 'choice':
      return <Select {...given} options={field.options} disabled={field.readOnly} allowClear={field.nullable} />;
    case 'texts':
    case 'wholes':
      return (
        <Select
          {...given}
          mode="tags"
          open={false}
          suffixIcon={null}
          tokenSeparators={[',', ' ', ';']}
          placeholder={t.common.listHint}
        />
      );
    case 'account':
      return <NamePicker given={given} of="accounts" nullable={field.nullable} />;
    case 'rateGroup':
      return <NamePicker given={given} of="rate-groups" nullable={field.nullable} />;
    case 'pick':
    case 'picks':
      return (
        <NamePicker given={given} of={field.of ?? 'accounts'} nullable={field.nullable} many={field.kind === 'picks'} />
      );
    case 'parameters':
      return <ParameterOverrides {...given} />;
    default:
      return (
        <Input
          {...given}
          className={field.mono ? 'mono' : undefined}
          inputMode={field.kind === 'decimal' ? 'decimal' : undefined}
          placeholder={field.placeholder}
          readOnly={field.readOnly}
          autoComplete="off"
        />
      );
  }
}

interface NamePickerProps {
  given: object;
  of: keyof typeof NAMED;
  nullable?: boolean;
  many?: boolean;
}

function NamePicker({ given, of, nullable, many }: NamePickerProps) {
  const names = useQuery({
    queryKey: [of, 'names'],
    queryFn: async (): Promise<{ items: { name: string }[] }> => NAMED[of]({ limit: 200 }),
  });
  return (
    <Select
      {...given}
      showSearch
      mode={many ? 'multiple' : undefined}
      allowClear={nullable || many}
      loading={names.isPending}
      options={(names.data?.items ?? []).map((item) => ({ value: item.name, label: item.name }))}
    />
  );
}
