/** Language of the console: chosen once, kept in the browser, and the texts of other languages load on demand. */
import type { Locale } from 'antd/es/locale';
import enUS from 'antd/locale/en_US';
import { createContext, type ReactNode, useContext, useEffect, useState } from 'react';
import { en, type Messages } from './en';

export type { Messages } from './en';
export type Language = 'en' | 'zh' | 'es';
export const LANGUAGES: Record<Language, string> = { en: 'English', zh: '中文', es: 'Español' };

interface Loaded {
  language: Language;
  texts: Messages;
  locale: Locale;
}

const ENGLISH: Loaded = { language: 'en', texts: en, locale: enUS };
const STORED = 'tandem.language';

async function load(language: Language): Promise<Loaded> {
  switch (language) {
    case 'zh': {
      const [own, antd] = await Promise.all([import('./zh'), import('antd/locale/zh_CN')]);
      return { language, texts: own.zh, locale: antd.default };
    }
    case 'es': {
      const [own, antd] = await Promise.all([import('./es'), import('antd/locale/es_ES')]);
      return { language, texts: own.es, locale: antd.default };
    }
    case 'en':
      return ENGLISH;
  }
}

export function firstLanguage(stored: string | null, browser: readonly string[]): Language {
  for (const wish of stored ? [stored, ...browser] : browser) {
    const short = wish.slice(0, 2).toLowerCase();
    if (short in LANGUAGES) return short as Language;
  }
  return 'en';
}

const TextContext = createContext<Loaded & { choose(language: Language): void }>({ ...ENGLISH, choose: () => {} });

export function LanguageProvider({ children }: { children: ReactNode }) {
  const [wanted, setWanted] = useState(() => firstLanguage(localStorage.getItem(STORED), navigator.languages));
  const [loaded, setLoaded] = useState<Loaded | null>(wanted === 'en' ? ENGLISH : null);
  useEffect(() => {
    let current = true;
    void load(wanted).then((next) => current && setLoaded(next));
    return () => {
      current = false;
    };
  }, [wanted]);
  useEffect(() => {
    if (loaded) document.documentElement.lang = loaded.language;
  }, [loaded]);
  const choose = (language: Language) => {
    localStorage.setItem(STORED, language);
    setWanted(language);
  };
  if (!loaded) return null;
  return <TextContext.Provider value={{ ...loaded, choose }}>{children}</TextContext.Provider>;
}

export const useText = (): Messages => useContext(TextContext).texts;
export const useLanguage = () => useContext(TextContext);

/** The text for a key that comes from the server; unknown keys are shown as they are. */
export const wordFor = (words: Readonly<Record<string, string>>, key: string): string => words[key] ?? key;
