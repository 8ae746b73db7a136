import { Modal } from 'antd';
import { Fragment } from 'react';
import { useText } from '../i18n';
import { GO } from '../lib/keys';

export function HelpDialog({ onClose }: { onClose: () => void }) {
  const t = useText();
  const keys: [string[], string][] = [
    [['Ctrl', 'K'], t.help.jump],
    [['/'], t.help.filter],
    [['Esc'], t.help.close],
    [['?'], t.help.thisHelp],
    [['↑', '↓', 'j', 'k'], t.help.move],
    [['Enter'], t.help.open],
    [['Ctrl', 'C'], t.help.copy],
    [['r'], t.help.take],
    [['Del'], t.help.disconnect],
    [['Ctrl', 'S'], t.help.save],
    ...GO.map((g): [string[], string] => [['g', g.key], t.help.goTo(t.nav[g.name])]),
  ];
  return (
    <Modal open title={t.help.title} onCancel={onClose} footer={null} width={560}>
      <dl className="keys">
        {keys.map(([names, words]) => (
          <Fragment key={words}>
            <dt>
              {names.map((name) => (
                <kbd key={name}>{name}</kbd>
              ))}
            </dt>
            <dd>{words}</dd>
          </Fragment>
        ))}
      </dl>
    </Modal>
  );
}
