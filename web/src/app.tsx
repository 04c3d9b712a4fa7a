// The frame around every screen: navigation, connection, keyboard, and what is followed live.

import { useQueryClient } from "@tanstack/react-query";
import { Component, Suspense, useEffect, useRef, useState, type ReactNode } from "react";
import { Link, Redirect, Route, Switch, useLocation, useRoute } from "wouter";
import { ALL_EVENTS, eventsOf, follow, tryNow, useLive, watchTab } from "./api/live";
import { useNeedsKey } from "./api/queries";
import { Announcements } from "./ui/announce";
import { Button } from "./ui/button";
import { Help } from "./ui/help";
import { useNow } from "./ui/hooks";
import { Icon, type IconName } from "./ui/icon";
import { askForKey, KeyDialog, useHasKey } from "./ui/key";
import { focusSearch, moveRow, useShortcut, watchKeys } from "./ui/keys";
import { useShown } from "./ui/later";
import { Empty, Problem, Skeleton } from "./ui/problem";
import { Home } from "./screens/home";
import { Gallery, ImportScreen, Overview } from "./screens";

const NAV: { href: string; label: string; icon: IconName }[] = [
  { href: "/", label: "Imports", icon: "imports" },
  { href: "/gallery", label: "Gallery", icon: "gallery" },
  { href: "/overview", label: "Overview", icon: "overview" },
];

/** One stream for what the screen shows. An import that is over has none: its page asks now and then. */
function useFollow(): void {
  const cache = useQueryClient();
  const [, params] = useRoute("/imports/:id");
  useEffect(() => watchTab(cache), [cache]);
  const path = params ? eventsOf(params.id) : ALL_EVENTS;
  useEffect(() => {
    follow(cache, path);
    return () => follow(cache, null);
  }, [cache, path]);
}

function Connection() {
  const live = useLive();
  const waiting = live.phase === "waiting";
  const now = useNow(1000, waiting);
  const [late, setLate] = useState(false);
  useEffect(() => {
    setLate(false);
    // A short break is none of anybody's business.
    const timer = setTimeout(() => setLate(true), 1500);
    return () => clearTimeout(timer);
  }, [waiting]);
  const shown = waiting && late;
  return (
    <>
      <span className={`connection ${shown ? "lost" : live.phase}`} title={shown ? "Reconnecting" : live.phase === "open" ? "Changes appear by themselves" : ""}>
        {shown ? "Offline" : live.phase === "open" ? "Live" : ""}
      </span>
      <div className={shown ? "offline" : ""}>
        <div role="status">
          {shown && (
            <>
              <Icon name="warning" />
              <p>
                <strong>{navigator.onLine ? live.problem.title : "You are offline"}.</strong> What you see may be out of date.
              </p>
            </>
          )}
        </div>
        {/* Outside: seconds that pass are not told. */}
        {shown && <Button onClick={tryNow}>Try now{live.until > now + 1000 ? ` (${Math.ceil((live.until - now) / 1000)} s)` : ""}</Button>}
      </div>
    </>
  );
}

function KeyButton() {
  const needed = useNeedsKey();
  const has = useHasKey();
  if (!needed && !has) return null;
  return (
    <Button look="ghost" icon="key" compact onClick={() => askForKey(true)}>
      API key
    </Button>
  );
}

/** A defect of one screen leaves the others usable. */
class Net extends Component<{ children: ReactNode }, { error: unknown }> {
  override state = { error: null as unknown };
  static getDerivedStateFromError(error: unknown): { error: unknown } {
    return { error };
  }
  override render(): ReactNode {
    if (!this.state.error) return this.props.children;
    return (
      <section className="card">
        <Problem error={this.state.error} again={() => location.reload()} />
      </section>
    );
  }
}

function NotFound() {
  return (
    <section className="card">
      <h1>No such page</h1>
      <Empty title="The address may be incomplete.">
        <Link href="/">To the imports</Link>
      </Empty>
    </section>
  );
}

export function App() {
  const [path, navigate] = useLocation();
  const [help, setHelp] = useState(false);
  const main = useRef<HTMLElement>(null);
  const previous = useRef(path);
  useFollow();
  useEffect(() => watchKeys(), []);
  // The other screens come while nothing else is loaded.
  const shown = useShown();
  useEffect(() => {
    if (shown) for (const screen of [ImportScreen, Gallery, Overview]) void screen.fetch().catch(() => {});
  }, [shown]);
  // Screen readers and the keyboard follow to the new screen.
  useEffect(() => {
    if (previous.current === path) return;
    previous.current = path;
    window.scrollTo(0, 0);
    main.current?.focus({ preventScroll: true });
  }, [path]);
  useShortcut("?", () => setHelp(true));
  useShortcut("j", () => moveRow(1));
  useShortcut("k", () => moveRow(-1));
  useShortcut("/", focusSearch);
  useShortcut("1", () => navigate("/"));
  useShortcut("2", () => navigate("/gallery"));
  useShortcut("3", () => navigate("/overview"));

  const isCurrent = (href: string): boolean => path === href || (href === "/" && path.startsWith("/imports/"));
  return (
    <>
      <a className="skip-link" href="#main" onClick={(event) => (event.preventDefault(), main.current?.focus())}>
        Skip to content
      </a>
      <header className="top">
        <Link href="/" className="brand">
          <img src="/favicon.svg" alt="" width="26" height="26" />
          <span>Imagefleet</span>
        </Link>
        <nav aria-label="Screens">
          {NAV.map(({ href, label, icon }) => (
            <Link key={href} href={href} aria-current={isCurrent(href) ? "page" : undefined}>
              <Icon name={icon} />
              {label}
            </Link>
          ))}
        </nav>
        <div className="top-end">
          <Connection />
          <KeyButton />
          <Button look="ghost" icon="help" compact onClick={() => setHelp(true)}>
            Keyboard shortcuts
          </Button>
        </div>
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        <Net key={path}>
          <Suspense fallback={<Skeleton rows={1} className="screen" />}>
            <Switch>
              <Route path="/" component={Home} />
              <Route path="/imports">
                <Redirect to="/" replace />
              </Route>
              <Route path="/imports/:id">{({ id }) => <ImportScreen.Screen key={id} id={id} />}</Route>
              <Route path="/gallery" component={Gallery.Screen} />
              <Route path="/overview" component={Overview.Screen} />
              <Route component={NotFound} />
            </Switch>
          </Suspense>
        </Net>
      </main>
      <Announcements />
      <KeyDialog />
      {help && <Help onClose={() => setHelp(false)} />}
    </>
  );
}
