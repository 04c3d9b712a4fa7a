import { useEffect, useId, useLayoutEffect, useRef, type ReactNode } from "react";
import { Button } from "./button";

interface Props {
  title: ReactNode;
  onClose: () => void;
  size?: "small" | "medium" | "large";
  children: ReactNode;
  /** What can be done, at the end. */
  actions?: ReactNode;
  /** Something inside is marked `data-first`, to have the focus at first. */
  first?: boolean;
}

/** A modal while it is mounted. The browser keeps the focus inside and gives it back. */
export function Dialog({ title: heading, onClose, size = "small", children, actions, first = false }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const close = useRef(onClose);
  const title = useRef<HTMLHeadingElement>(null);
  const id = useId();
  useEffect(() => {
    close.current = onClose;
  });
  useLayoutEffect(() => {
    const shown = dialog.current;
    const origin = document.activeElement;
    shown?.showModal();
    // What is safe and wanted most, else the title: not the button that closes.
    shown?.querySelector<HTMLElement>("[data-first]")?.focus();
    return () => {
      shown?.close();
      // Where the focus came from may be gone meanwhile.
      if (!origin?.isConnected || origin === document.body) document.getElementById("main")?.focus({ preventScroll: true });
    };
  }, []);
  // What had it may be gone by a step within the dialog.
  useLayoutEffect(() => {
    if (document.activeElement === document.body) title.current?.focus({ preventScroll: true });
  });
  return (
    <dialog
      ref={dialog}
      className={`dialog ${size}`}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        close.current();
      }}
      onClick={(event) => {
        if (event.target === event.currentTarget) close.current();
      }}
    >
      <div className="dialog-box">
        <header className="dialog-head">
          <h2 id={id} ref={title} tabIndex={-1} data-first={first ? undefined : true}>
            {heading}
          </h2>
          <Button look="ghost" icon="cross" compact onClick={onClose}>
            Close
          </Button>
        </header>
        <div className="dialog-body">{children}</div>
        {actions && <footer className="dialog-foot">{actions}</footer>}
      </div>
    </dialog>
  );
}
