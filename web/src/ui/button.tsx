import type { ComponentPropsWithRef, ReactNode } from "react";
import { Icon, type IconName } from "./icon";

interface Props extends Omit<ComponentPropsWithRef<"button">, "disabled"> {
  /** `danger` leads to something that cannot be undone, `destroy` does it. */
  look?: "primary" | "plain" | "danger" | "destroy" | "ghost";
  icon?: IconName;
  /** Under way: the button keeps the focus and does nothing. */
  busy?: boolean;
  /** Why it does nothing right now. */
  blocked?: string | undefined;
  /** Only the icon is shown; the text is its name. */
  compact?: boolean;
  children: ReactNode;
}

/** Never `disabled`, which would throw the keyboard's focus away and hide the reason. */
export function Button({ look = "plain", icon, busy = false, blocked, compact = false, children, onClick, type = "button", className = "", ...rest }: Props) {
  const idle = busy || blocked !== undefined;
  return (
    <button
      {...rest}
      type={type}
      className={`button ${look} ${compact ? "compact" : ""} ${className}`}
      aria-disabled={idle || undefined}
      title={blocked ?? (compact && typeof children === "string" ? children : rest.title)}
      onClick={(event) => {
        if (idle) event.preventDefault();
        else onClick?.(event);
      }}
    >
      {icon && <Icon name={icon} />}
      <span className={compact ? "hidden-text" : ""}>{children}</span>
    </button>
  );
}
