/** Kinds of form fields, and how their values go between the API's document and the form. */
import { useQuery } from '@tanstack/react-query';
import { Form, Input, InputNumber, Select, Switch } from 'antd';
import type { Rule } from 'antd/es/form';
import { accounts, rateGroups } from '../api/resources';
import { type Messages, useText } from '../i18n';
import { ParameterOverrides } from './ParameterOverrides';

/** A closed choice from a table of words. */
export const choices = (words: Record<string, string>) =>
  Object.entries(words).map(([value, label]) => ({ value, label }));

export interface Field {
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
    | 'parameters';
  help?: string;
  placeholder?: string;
  needed?: boolean;
  /** An emptied field becomes `null`, "not set", instead of an empty text. */
  nullable?: boolean;
  options?: { value: string; label: string }[];
  readOnly?: boolean;
  mono?: boolean;
}

type Document = Record<string, unknown>;

export function toForm(fields: Field[], document: Document): Document {
  return Object.fromEntries(fields.map((f) => [f.name, toField(f, document[f.name])]));
}

function toField(field: Field, value: unknown): unknown {
  if (field.kind === 'wholes') return ((value as number[] | null) ?? []).map(String);
  if (field.kind === 'lines') return ((value as string[] | null) ?? []).join('\n');
  if (field.kind === 'texts') return value ?? [];
  return value ?? undefined;
}

export function fromForm(fields: Field[], values: Document, before: Document): Document {
  return Object.fromEntries(fields.map((f) => [f.name, f.readOnly ? before[f.name] : fromField(f, values[f.name])]));
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
      return linesOf(value);
    case 'texts':
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
      return <Select {...given} options={field.options} disabled={field.readOnly} />;
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
      return <NamePicker given={given} queryKey="accounts" list={accounts.list} nullable={field.nullable} />;
    case 'rateGroup':
      return <NamePicker given={given} queryKey="rate-groups" list={rateGroups.list} nullable={field.nullable} />;
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
  queryKey: string;
  list: (query: { limit: number; q?: string }) => Promise<{ items: { name: string }[] }>;
  nullable?: boolean;
}

function NamePicker({ given, queryKey, list, nullable }: NamePickerProps) {
  const names = useQuery({ queryKey: [queryKey, 'names'], queryFn: () => list({ limit: 200 }) });
  return (
    <Select
      {...given}
      showSearch
      allowClear={nullable}
      loading={names.isPending}
      options={(names.data?.items ?? []).map((item) => ({ value: item.name, label: item.name }))}
    />
  );
}
