/** Where the devices of one registration are. */
import type { Registration } from '../api/resources';
import { useText } from '../i18n';
import { NONE, time } from '../lib/format';
import { Scroll } from './Page';

export function ContactTable({ contacts }: { contacts: Registration['contacts'] }) {
  const t = useText();
  const r = t.registrations;
  return (
    <Scroll label={r.contacts}>
      <table className="table">
        <thead>
          <tr>
            <th>{r.contacts}</th>
            <th>{r.source}</th>
            <th>{r.nat}</th>
            <th>{r.device}</th>
            <th>{r.since}</th>
            <th>{r.until}</th>
          </tr>
        </thead>
        <tbody>
          {contacts.map((contact) => (
            <tr key={contact.uri + contact.source}>
              <td className="mono">{contact.uri}</td>
              <td>
                {contact.transport.toUpperCase()} <span className="mono">{contact.source}</span>
              </td>
              <td>{contact.behind_nat ? r.yes : r.no}</td>
              <td>{contact.user_agent ?? NONE}</td>
              <td className="one-line">{time(contact.registered_at)}</td>
              <td className="one-line">{time(contact.expires_at)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
