/** The frame that every page has: a title, actions at the right, panels below. */
import { type ReactNode, useEffect, useRef, useState } from 'react';
import { useText } from '../i18n';

interface PageProps {
  title: ReactNode;
  /** For the browser's tab, when the title is more than text. */
  name?: string;
  right?: ReactNode;
  /** The page fills the window and its list scrolls, instead of the page. */
  fixed?: boolean;
  children: ReactNode;
}

export function Page({ title, name, right, fixed, children }: PageProps) {
  const t = useText();
  const shortName = name ?? (typeof title === 'string' ? title : '');
  useEffect(() => {
    document.title = shortName ? `${shortName} – ${t.app}` : t.app;
  }, [shortName, t]);
  return (
    <div className={fixed ? 'page page-fixed' : 'page'}>
      <header className="page-head">
        <h1 className="page-title">{title}</h1>
        <div className="page-head-right">{right}</div>
      </header>
      {children}
    </div>
  );
}

export function Panel({ title, right, children }: { title?: ReactNode; right?: ReactNode; children: ReactNode }) {
  return (
    <section className="panel">
      {title && (
        <h2 className="panel-title">
          {title}
          {right && <span className="panel-title-right">{right}</span>}
        </h2>
      )}
      {children}
    </section>
  );
}

export type Fact = [name: string, value: ReactNode];

export function Facts({ facts, single }: { facts: Fact[]; single?: boolean }) {
  return (
    <dl className={single ? 'facts facts-single' : 'facts'}>
      {facts.map(([name, value]) => (
        <div className="fact" key={name}>
          <dt className="fact-name">{name}</dt>
          <dd className="fact-value">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A box for tables that may be wider than the screen. It takes the focus only while there is something to scroll. */
export function Scroll({ label, children }: { label: string; children: ReactNode }) {
  const box = useRef<HTMLElement>(null);
  const [wide, setWide] = useState(false);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setWide(element.scrollWidth > element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return (
    <section ref={box} className="table-scroll" aria-label={label} tabIndex={wide ? 0 : undefined}>
      {children}
    </section>
  );
}
