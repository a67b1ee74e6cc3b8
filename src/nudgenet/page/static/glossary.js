// Every term in one line of plain English, on hover and on focus.

import { h, uniqueId } from "./dom.js";

/** term -> its meaning. The keys are what `term()` is called with. */
export const GLOSSARY = {
  accuracy: "The share of rows that the network answers correctly.",
  activation: "What a neuron does to its sum before passing it on. ReLU, the usual one, turns everything below zero into zero: a kink.",
  Adam: "A way to nudge that gives each weight its own step size, from the recent gradients of that weight.",
  attention: "How much each word of a text looks at each other word. It shows where a transformer looked, not why it answered.",
  AUC: "How well the network ranks the classes apart: 0.5 is guessing, 1 is perfect.",
  augmentation: "Varying the training images, sounds or texts a little each time, so that the network cannot learn them by heart.",
  "backward pass": "Working back from the loss to every weight: which way, and how strongly, would the loss change if this weight did?",
  baseline: "A simple model on the same rows. A network that does not beat it was not worth it.",
  batch: "The few rows that are looked at together in one step.",
  "batch size": "How many rows are in one batch.",
  "best epoch": "The epoch with the lowest validation loss. Its weights are the ones that are kept.",
  bias: "A number that a neuron adds to its sum, whatever its inputs are.",
  calibration: "Making probabilities true: of all rows that get 70 %, about 70 of 100 should be right.",
  class: "One of the possible answers, where the answer is not a number.",
  clipping: "Shortening a gradient that is too long, so that one odd batch cannot wreck the network.",
  "confusion matrix": "A table of true answers against given answers: what is mistaken for what.",
  convergence: "The point from which more training hardly changes the network.",
  "dead neuron": "A neuron whose kink gives zero for every row: it says nothing and learns nothing.",
  "decision boundary": "The line (or surface) where the network's answer changes from one class to another.",
  dropout: "Silencing a random share of neurons in each training step, so that none of them can rely on a few others.",
  "early stopping": "Ending the training when the validation loss no longer gets better.",
  embedding: "A short list of numbers that stands for a word or a category, and is learned like any weight.",
  ensemble: "Several networks whose answers are averaged: together they are steadier than one.",
  epoch: "One pass over all training rows.",
  F1: "A score for one class: high only when the network both finds it and is right when it says so.",
  filter: "The weights of one neuron of the first layer, seen as the pattern that it responds to.",
  fork: "The same training again with one setting changed. Only validation scores are looked at.",
  "forward pass": "From a row to an answer: weighted sums and kinks, layer after layer.",
  gradient: "For each weight: how much the loss would change if this weight grew a little. Training goes the other way.",
  "gradient norm": "The length of the gradient: how steep the loss is where the network stands.",
  "hidden layer": "A layer between the inputs and the answer.",
  interval: "Where the score would very likely lie if other rows had been drawn (95 of 100 times).",
  layer: "Neurons side by side, which all see the same inputs.",
  "learning rate": "The size of the nudge in each step.",
  "log loss": "How wrong the probabilities are: being sure and wrong costs most; 0 is perfect.",
  loss: "How wrong the network is, as one number. Training makes it smaller.",
  "mean error": "How far off the network is on average, in the target's own unit.",
  member: "One of the networks of an ensemble.",
  metric: "A score that people read, such as accuracy. The loss is what training itself follows.",
  momentum: "Keeping part of the last nudge, so that steps do not zigzag.",
  neuron: "A weighted sum of its inputs plus a bias, followed by a kink.",
  normalisation: "Bringing the sums inside a layer to a common scale.",
  nudge: "One small change of all weights, in the direction that lowers the loss.",
  objective: "The loss that training lowers.",
  optimizer: "The rule that turns a gradient into a nudge.",
  overfitting: "Learning the training rows by heart: training loss still falls, but on other rows it gets worse.",
  parameter: "A number that training can change: a weight or a bias. A knob.",
  patience: "How many epochs without a better validation loss are waited for before stopping early.",
  probability: "How sure the network is of an answer, from 0 to 100 %.",
  regression: "Predicting a number instead of a class.",
  regularisation: "Anything that keeps a network from learning its training rows by heart.",
  residual: "A shortcut: a layer's input is added to its output.",
  "R²": "The share of the differences between rows that is explained: 1 is perfect, 0 is no better than the mean.",
  RMSE: "The typical error in the target's own unit; large errors count more.",
  run: "One training with everything that is known about it, in one folder.",
  "saturated neuron": "A neuron so far up or down its curve that its output hardly changes any more: it learns very slowly.",
  schedule: "How the learning rate changes over the training.",
  seed: "The number that fixes every random choice: the same seed gives the same training.",
  smoothing: "Averaging a curve with its recent past, to see the trend. The raw line stays visible behind it.",
  snapshot: "All weights as they were at one step, kept so that you can go back to it.",
  softmax: "Turning the outputs into probabilities that add up to 100 %.",
  step: "One batch, one nudge.",
  target: "The column that is predicted.",
  temperature: "One number by which outputs are divided so that the probabilities come true.",
  "test part": "Rows that are read once, at the very end, for an honest score.",
  threshold: "The probability above which the answer is yes.",
  "training part": "The rows that the network learns from.",
  underfitting: "Not having learned enough, even of the training rows.",
  "update ratio": "How large a nudge is beside the weights it changes. About one in a thousand is healthy.",
  "validation part": "Rows that training never sees, used to tell when it is good enough.",
  verdict: "What the curves say about the training, by fixed rules, with the figures behind it.",
  warmup: "The first steps, in which the learning rate rises from nothing.",
  weight: "How strongly one input counts in a neuron's sum, and in which direction.",
  "weight decay": "Pulling all weights a little towards zero in each step.",
};

let tip = null; // the one tooltip of the page, made when it is first needed

function show(event) {
  const element = event.currentTarget;
  tip ??= h("div.tip", { role: "tooltip", id: uniqueId("tip"), hidden: true });
  if (!tip.isConnected) document.body.append(tip);
  tip.textContent = element.dataset.meaning;
  tip.hidden = false;
  element.setAttribute("aria-describedby", tip.id);
  const box = element.getBoundingClientRect();
  const [width, height] = [tip.offsetWidth, tip.offsetHeight];
  const left = Math.max(12, Math.min(box.left, document.documentElement.clientWidth - width - 12));
  const above = box.top - height - 8;
  tip.style.left = `${left + scrollX}px`;
  tip.style.top = `${(above > 4 ? above : box.bottom + 8) + scrollY}px`;
}

function hide(event) {
  if (tip) tip.hidden = true;
  event.currentTarget.removeAttribute("aria-describedby");
}

function hideOnEscape(event) {
  if (event.key === "Escape" && tip && !tip.hidden) {
    hide(event);
    event.stopPropagation();
  }
}

/** `element` with a line that is shown on hover and on focus. */
export function explained(element, meaning) {
  element.dataset.meaning = meaning;
  for (const event of ["mouseenter", "focus"]) element.addEventListener(event, show);
  for (const event of ["mouseleave", "blur"]) element.addEventListener(event, hide);
  element.addEventListener("keydown", hideOnEscape);
  return element;
}

/** A word with its one-line definition on hover and focus; the plain word if the glossary does not have it. */
export function term(name, words = name) {
  const meaning = GLOSSARY[name];
  if (!meaning) return document.createTextNode(words);
  return explained(h("span.term", { tabindex: "0" }, words), meaning);
}

/** The words page: every term. */
export function mountWords(container) {
  const entries = Object.entries(GLOSSARY).sort(([a], [b]) => a.localeCompare(b, "en"));
  const list = h("dl.words", entries.map(([name, meaning]) => h("div", h("dt", name), h("dd", meaning))));
  const find = h("input", {
    type: "search",
    placeholder: "Find a word",
    "aria-label": "Find a word",
    on: {
      input: () => {
        const wanted = find.value.trim().toLowerCase();
        for (const entry of list.children) entry.hidden = !entry.textContent.toLowerCase().includes(wanted);
      },
    },
  });
  container.append(
    h("div.head", h("h1", "The words used here"), h("p.soft", "One line each, in plain English. Dotted words on the other pages show theirs when you point at them.")),
    h("p", find),
    list,
  );
}
