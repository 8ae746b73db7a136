import { type Messages, wordFor } from '../i18n';

/** A right in words: `records.view` is "Call records: View". */
export function rightInWords(t: Messages, right: string): string {
  const [area = '', action = ''] = right.split('.');
  return `${wordFor(t.users.areas, area)}: ${wordFor(t.users.actions, action)}`;
}

export const rightsInWords = (t: Messages, rights: string[]): string =>
  rights.map((right) => rightInWords(t, right)).join(', ');
