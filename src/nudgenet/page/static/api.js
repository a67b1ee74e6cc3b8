// The page's only way to data: requests and sockets under /api/, or an exported file's answers.

export class ApiError extends Error {
	constructor(message, status = 0) {
		super(message);
		this.name = "ApiError";
		this.status = status;
	}
}

let source = null; // {get(path), post(path, body), picture(part, index)} of an exported file: see exported.js

export function useSource(other) {
	source = other;
}

/** In a file nothing can be started or changed. */
export function isExported() {
	return source !== null;
}

export function piece(name) {
	return encodeURIComponent(name);
}

/** `path?a=1&b=2`; what is null is left out. */
export function withQuery(path, query) {
	const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value != null)).toString();
	return text ? `${path}?${text}` : path;
}

/** The path of a run or of something under it: `ofRun("a b", "rows", {part: "test"})`. */
export function ofRun(name, part = "", query = {}) {
	return withQuery(`runs/${piece(name)}${part && "/"}${part}`, query);
}

function address(path) {
	return new URL(`api/${path}`, document.baseURI).href;
}

export function itemAddress(run, part, index) {
	return source ? source.picture(part, index) : address(ofRun(run, "item", {part, index}));
}

/** The JSON answer; raises ApiError with one plain line. */
export function get(path, signal = null) {
	return source ? source.get(path) : ask("GET", path, undefined, signal);
}

export function post(path, body = {}, signal = null) {
	return source ? source.post(path, body) : ask("POST", path, body, signal);
}

export function isOver({state}) {
	return ["done", "failed", "stopped"].includes(state);
}

export function remove(path) {
	return ask("DELETE", path);
}

async function ask(method, path, body, signal = null) {
	const headers = {Accept: "application/json", ...(body && {"Content-Type": "application/json"})};
	const say = (words, status) => error => {
		throw error.name === "AbortError" ? error : new ApiError(words, status);
	};
	const asked = fetch(address(path), {method, signal, headers, body: body && JSON.stringify(body)});
	const answer = await asked.catch(say("The page's server does not answer. Is `nudge page` still running?"));
	const {ok, status} = answer;
	const content = await answer.json().catch(say(`The server's answer cannot be read (status ${status}).`, status));
	if (!ok) throw new ApiError(content?.error ?? `The server refused (status ${status}).`, status);
	return content;
}

/** A WebSocket of JSON: `socket(path, {open, message, close})` -> {send(object), close()}. */
export function socket(path, {open, message, close}) {
	const connection = new WebSocket(address(path).replace(/^http/, "ws"));
	Object.assign(connection, {onopen: open, onclose: close, onmessage: event => message(JSON.parse(event.data))});
	return {
		send(content) {
			if (connection.readyState === WebSocket.OPEN) connection.send(JSON.stringify(content));
		},
		close: () => connection.close(),
	};
}

const [FIRST_WAIT, LONGEST_WAIT] = [500, 8000]; // ms before a new try: doubled from the one up to the other

/**
 * The live feed, which comes back when it was lost. A page that nobody sees asks for nothing: no training waits for it.
 * subscribe(fn) -> end: `fn(message)` for the server's messages, and {connected: bool} when that changes.
 * watch(name, known): the run whose news after {epoch, step} are wanted; null: only the list of runs.
 */
export function liveFeed() {
	const listeners = new Set();
	const wanted = {watch: null, epoch: 0, step: 0};
	let current = null;
	let wait = FIRST_WAIT;
	const tell = message => [...listeners].forEach(listener => listener(message));
	const wish = () => current?.send(document.hidden ? {watch: null} : wanted);

	function learn(message) {
		if (message.run === wanted.watch) {
			wanted.epoch = Math.max(wanted.epoch, ...(message.epochs ?? []).map(epoch => epoch.epoch));
			wanted.step = Math.max(wanted.step, message.batches?.step?.at(-1) ?? 0);
		}
		tell(message);
	}

	function connect() {
		let opened = false;
		current = socket("live", {
			open() {
				opened = true;
				wait = FIRST_WAIT;
				wish();
				tell({connected: true});
			},
			message: learn,
			close() {
				if (opened) tell({connected: false});
				setTimeout(connect, wait);
				wait = Math.min(2 * wait, LONGEST_WAIT);
			},
		});
	}

	if (!source) {
		connect();
		document.addEventListener("visibilitychange", wish);
	}
	return {
		subscribe(listener) {
			listeners.add(listener);
			return () => listeners.delete(listener);
		},
		watch(name, {epoch = 0, step = 0} = {}) {
			Object.assign(wanted, {watch: name, epoch, step});
			wish();
		},
	};
}
