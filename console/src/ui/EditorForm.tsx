/**
 * The form of every editable thing. A page describes its fields as data; this draws them, counts the changes, saves with
 * the button or Ctrl+S, puts the server's complaints at their fields, and shows a conflict instead of overwriting.
 */
import { useBlocker } from '@tanstack/react-router';
import { Button, Form } from 'antd';
import { type ReactNode, useEffect, useRef, useState } from 'react';
import { Problem } from '../api/client';
import { useText } from '../i18n';
import { useMay } from '../lib/session';
import { type Field, FieldInput, fromForm, toForm } from './fields';
import { ErrorNote } from './Notes';
import { Panel } from './Page';

export interface Section {
  title?: string;
  fields: Field[];
}

type Document = Record<string, unknown>;

interface EditorFormProps<T> {
  sections: Section[];
  /** What is being edited; a new object starts the form anew when its `version` differs. */
  value: T;
  save: (value: T) => Promise<unknown>;
  onCancel?: () => void;
  /** Reads the document as it is now on the server, for conflicts. */
  reload?: () => Promise<T>;
  saveOver?: (value: T) => Promise<unknown>;
  saveLabel?: string;
  /** Fields of the document that this form does not show and must not lose. */
  keeps?: string[];
  /** In dialogs: no panels around the sections. */
  plain?: boolean;
  extra?: ReactNode;
  /** Without this right the form only shows. */
  right?: string;
}

export function EditorForm<T extends object>(props: EditorFormProps<T>) {
  const t = useText();
  const may = useMay();
  const fixed = props.right !== undefined && !may(props.right);
  const [form] = Form.useForm();
  const [failure, setFailure] = useState<unknown>(null);
  const [saving, setSaving] = useState(false);
  const [changed, setChanged] = useState<string[]>([]);
  const frame = useRef<HTMLDivElement>(null);
  const fields = props.sections.flatMap((s) => s.fields);
  const start = toForm(fields, props.value as Document);
  const version = (props.value as { version?: string }).version ?? 'new';

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new version is a new start; figures that move are not
  useEffect(() => {
    form.setFieldsValue(start);
    setChanged([]);
  }, [version]);

  const count = () => {
    const now = form.getFieldsValue(true) as Document;
    setChanged(
      fields.map((f) => f.name).filter((name) => JSON.stringify(now[name] ?? '') !== JSON.stringify(start[name] ?? '')),
    );
  };

  // Complaints come with the save and go while the field is being corrected; one that came or went when the pointer
  // leaves a field would move the button away from under it.
  const onChange = (now: Document) => {
    count();
    const wrong = Object.keys(now).filter((name) => form.getFieldError(name).length > 0);
    if (wrong.length > 0) void form.validateFields(wrong).catch(() => {});
  };

  const run = async (store: (value: T) => Promise<unknown>) => {
    if (saving) return;
    setFailure(null);
    try {
      await form.validateFields();
    } catch {
      frame.current?.querySelector<HTMLElement>('.ant-form-item-has-error input')?.focus();
      return;
    }
    setSaving(true);
    // Only what the form knows goes out: the API refuses figures that are not an operator's to set.
    const known = fromForm(fields, form.getFieldsValue(true) as Document, props.value as Document);
    // A PUT replaces the document whole: what an operator has set elsewhere and this form does not show is kept.
    const kept = (props.keeps ?? []).filter((name) => !(name in known) && name in props.value);
    const document = { ...Object.fromEntries(kept.map((name) => [name, (props.value as Document)[name]])), ...known };
    try {
      await store(document as T);
      setChanged([]);
    } catch (error) {
      setFailure(error);
      if (error instanceof Problem) form.setFields(fieldErrors(fields, error));
    } finally {
      setSaving(false);
    }
  };

  useBlocker({
    shouldBlockFn: () => changed.length > 0 && !saving && !window.confirm(t.common.leave),
    enableBeforeUnload: () => changed.length > 0,
    disabled: changed.length === 0,
  });

  const isConflict = failure instanceof Problem && failure.status === 412;
  const loadTheirs = async () => {
    const theirs = await props.reload?.();
    if (theirs) form.setFieldsValue(toForm(fields, theirs as Document));
    setFailure(null);
    count();
  };

  return (
    <div ref={frame} className={props.plain ? 'editor editor-plain' : 'editor'}>
      <Form
        form={form}
        onKeyDown={(e) => {
          if (!(e.ctrlKey || e.metaKey) || e.key.toLowerCase() !== 's') return;
          e.preventDefault();
          void run(props.save);
        }}
        layout="vertical"
        disabled={fixed}
        initialValues={start}
        onValuesChange={onChange}
        onFinish={() => void run(props.save)}
        noValidate
      >
        <Sections sections={props.sections} plain={props.plain} />
        {!fixed && props.extra}
        {isConflict ? (
          <div className="note note-crit" role="alert">
            <span className="note-words">{t.common.conflict}</span>
            <Button onClick={() => void loadTheirs()}>{t.common.loadTheirs}</Button>
            <Button onClick={() => void run(props.saveOver ?? props.save)}>{t.common.saveOver}</Button>
          </div>
        ) : (
          failure !== null && <ErrorNote error={failure} />
        )}
        {fixed && <p className="muted">{t.common.onlyLook}</p>}
        <div className="editor-foot" hidden={fixed}>
          <Button type="primary" htmlType="submit" loading={saving}>
            {props.saveLabel ?? t.common.save}
          </Button>
          {props.onCancel && <Button onClick={props.onCancel}>{t.common.cancel}</Button>}
          <span className="muted" aria-live="polite">
            {changed.length > 0 ? t.common.changed(changed.length) : t.common.unchanged}
          </span>
        </div>
      </Form>
    </div>
  );
}

function Sections({ sections, plain }: { sections: Section[]; plain?: boolean }) {
  return sections.map((section) => {
    const names = section.fields.map((field) => field.name).join();
    const fields = section.fields.map((field) => <FieldInput key={field.name} field={field} />);
    if (plain) {
      return (
        <div key={names} className="editor-fields">
          {fields}
        </div>
      );
    }
    return (
      <Panel key={names} title={section.title}>
        <div className="editor-fields">{fields}</div>
      </Panel>
    );
  });
}

function fieldErrors(fields: Field[], problem: Problem) {
  // The server may say "parameters.SS_X", "/name" or "routing.lists.caller_black[0]"; the field is how it begins.
  const nameOf = (path: string) => {
    const parts = path.replace(/^\//, '').split(/[./[]/);
    const names = parts.map((_, i) => parts.slice(0, parts.length - i).join('.'));
    return names.find((name) => fields.some((field) => field.name === name)) ?? '';
  };
  return problem.fields
    .map((f) => ({ name: nameOf(f.field), errors: [f.message] }))
    .filter((f) => fields.some((field) => field.name === f.name));
}
