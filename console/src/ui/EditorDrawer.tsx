/** The editor form at the side of a list, for small things: a rate, a rate group, a parameter. */
import { Drawer } from 'antd';
import type { ComponentProps, ReactNode } from 'react';
import { EditorForm } from './EditorForm';

type EditorDrawerProps<T> = ComponentProps<typeof EditorForm<T & object>> & {
  title: string;
  onClose: () => void;
  head?: ReactNode;
};

export function EditorDrawer<T extends object>({ title, onClose, head, ...editor }: EditorDrawerProps<T>) {
  return (
    <Drawer open title={title} onClose={onClose} size={480}>
      {head}
      <EditorForm {...editor} plain onCancel={onClose} />
    </Drawer>
  );
}
