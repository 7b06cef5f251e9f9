//! Questions that may stay without an answer: a server that is gone, or a lock that is never
//! released, blocks the thread that asks. So threads of their own ask, and the caller waits
//! for them only briefly.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    fmt,
    hash::Hash,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How long to wait for answers.
pub const PATIENCE: Duration = Duration::from_millis(100);

/// So many threads may be blocked. While all of them are, nothing more is asked.
const MOST_THREADS: usize = 4;

/// Questions of one kind.
pub struct Inquiries<Q, A> {
    /// The name of the threads.
    name: &'static str,
    answer: Arc<dyn Fn(&Q) -> A + Send + Sync>,
    desk: Arc<Desk<Q, A>>,
    threads: usize,
    /// When each question was asked that has no answer yet.
    asked: HashMap<Q, Instant>,
}

/// An answer.
#[derive(Debug)]
pub struct Answered<Q, A> {
    /// The question.
    pub question: Q,
    /// What it was answered with.
    pub answer: A,
    /// When it was asked. A late answer may be about something that is gone.
    pub asked: Instant,
}

/// Where questions and answers are left.
struct Desk<Q, A> {
    papers: Mutex<Papers<Q, A>>,
    has_questions: Condvar,
    has_answers: Condvar,
}

struct Papers<Q, A> {
    /// Those that no thread has taken yet, each with the number of its round.
    waiting: VecDeque<(u64, Q)>,
    /// Those that a thread is asking.
    taken: Vec<Q>,
    answers: Vec<(Q, A)>,
    round: u64,
    /// How many questions of this round have no answer.
    open: usize,
    /// True if no more questions come.
    closed: bool,
}

impl<Q, A> Inquiries<Q, A>
where
    Q: Clone + Eq + Hash + Send + 'static,
    A: Send + 'static,
{
    /// Starts without a thread. `answer` may block.
    pub fn new(
        name: &'static str,
        answer: impl Fn(&Q) -> A + Send + Sync + 'static,
    ) -> Inquiries<Q, A> {
        let papers = Papers {
            waiting: VecDeque::new(),
            taken: Vec::new(),
            answers: Vec::new(),
            round: 0,
            open: 0,
            closed: false,
        };
        Inquiries {
            name,
            answer: Arc::new(answer),
            desk: Arc::new(Desk {
                papers: Mutex::new(papers),
                has_questions: Condvar::new(),
                has_answers: Condvar::new(),
            }),
            threads: 0,
            asked: HashMap::new(),
        }
    }

    /// Asks, and returns the answers that come in time, and those to earlier questions that
    /// have come meanwhile. A question that has no answer yet is not asked twice.
    pub fn ask(&mut self, questions: impl IntoIterator<Item = Q>) -> Vec<Answered<Q, A>> {
        let (mut new, now) = (Vec::new(), Instant::now());
        for question in questions {
            if let Entry::Vacant(place) = self.asked.entry(question) {
                new.push(place.key().clone());
                place.insert(now);
            }
        }
        if self.asked.is_empty() {
            return Vec::new();
        }
        if !new.is_empty() && !self.has_free_thread() {
            for question in new.drain(..) {
                self.asked.remove(&question);
            }
        }
        let answers = self.desk.ask(new);
        let answered = answers.into_iter().filter_map(|(question, answer)| {
            let asked = self.asked.remove(&question)?;
            Some(Answered {
                question,
                answer,
                asked,
            })
        });
        answered.collect()
    }

    /// The questions that a thread has been asking for longer than this.
    pub fn stuck(&self, time: Duration) -> Vec<Q> {
        if self.asked.is_empty() {
            return Vec::new();
        }
        let is_old = |taken: &&Q| {
            let asked = self.asked.get(taken);
            asked.is_some_and(|asked| asked.elapsed() > time)
        };
        self.desk
            .papers()
            .taken
            .iter()
            .filter(is_old)
            .cloned()
            .collect()
    }

    /// True if there is a thread that asks nothing now. Starts one, if there are not too many.
    fn has_free_thread(&mut self) -> bool {
        if self.desk.papers().taken.len() < self.threads {
            return true;
        }
        if self.threads == MOST_THREADS {
            return false;
        }
        let (desk, answer) = (self.desk.clone(), self.answer.clone());
        let started = thread::Builder::new()
            .name(self.name.to_owned())
            .spawn(move || desk.serve(&*answer));
        self.threads += usize::from(started.is_ok());
        started.is_ok()
    }
}

impl<Q, A> Desk<Q, A>
where
    Q: Clone + Eq,
{
    fn papers(&self) -> MutexGuard<'_, Papers<Q, A>> {
        self.papers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves questions, waits for their answers, and takes all answers.
    fn ask(&self, questions: Vec<Q>) -> Vec<(Q, A)> {
        let mut papers = self.papers();
        if !questions.is_empty() {
            papers.round += 1;
            papers.open = questions.len();
            let round = papers.round;
            let questions = questions.into_iter().map(|question| (round, question));
            papers.waiting.extend(questions);
            self.has_questions.notify_all();
            let waited = self
                .has_answers
                .wait_timeout_while(papers, PATIENCE, |papers| papers.open != 0);
            papers = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::take(&mut papers.answers)
    }

    /// What a thread does.
    fn serve(&self, answer: &dyn Fn(&Q) -> A) {
        let mut papers = self.papers();
        while !papers.closed {
            let Some((round, question)) = papers.waiting.pop_front() else {
                let waited = self.has_questions.wait(papers);
                papers = waited.unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            papers.taken.push(question.clone());
            drop(papers);
            let answered = answer(&question);
            papers = self.papers();
            papers.taken.retain(|taken| *taken != question);
            papers.answers.push((question, answered));
            if round == papers.round {
                papers.open -= 1;
                if papers.open == 0 {
                    self.has_answers.notify_all();
                }
            }
        }
    }
}

impl<Q, A> Drop for Inquiries<Q, A> {
    /// Ends the threads. A blocked one ends when it gets its answer, or with the process.
    fn drop(&mut self) {
        let papers = self.desk.papers.lock();
        papers.unwrap_or_else(PoisonError::into_inner).closed = true;
        self.desk.has_questions.notify_all();
    }
}

impl<Q, A> fmt::Debug for Inquiries<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inquiries")
            .field("name", &self.name)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of which those from 100 on are not answered before the lock is released.
    fn numbers(lock: &Arc<Mutex<()>>) -> Inquiries<u32, u32> {
        let lock = lock.clone();
        Inquiries::new("numbers", move |number| {
            if *number >= 100 {
                drop(lock.lock());
            }
            number + 1
        })
    }

    fn ask(inquiries: &mut Inquiries<u32, u32>, questions: &[u32]) -> Vec<u32> {
        let answers = inquiries.ask(questions.iter().copied());
        let mut answers: Vec<u32> = answers
            .into_iter()
            .map(|answered| answered.answer)
            .collect();
        answers.sort_unstable();
        answers
    }

    #[test]
    fn every_question_has_its_answer() {
        let mut inquiries = numbers(&Arc::default());
        for _ in 0..2 {
            let answers = inquiries.ask(1..50);
            assert_eq!(answers.len(), 49);
            assert!(answers.iter().all(|one| one.answer == one.question + 1));
        }
        assert_eq!(inquiries.threads, 1);
        assert!(inquiries.ask([]).is_empty());
    }

    #[test]
    fn a_question_without_an_answer_holds_up_no_other_and_is_answered_later() {
        let lock = Arc::new(Mutex::new(()));
        let held = lock.lock().expect("free");
        let mut inquiries = numbers(&lock);
        let begin = Instant::now();
        assert_eq!(ask(&mut inquiries, &[1, 100, 2]), [2]);
        // Another thread takes what was left.
        let later = ask(&mut inquiries, &[100, 3]);
        assert!(later.contains(&4), "{later:?}");
        assert_eq!(inquiries.stuck(Duration::ZERO), [100]);
        assert!(inquiries.stuck(Duration::from_secs(3600)).is_empty());
        assert!(begin.elapsed() < Duration::from_secs(5));
        drop(held);
        let mut late = later;
        while !late.contains(&101) {
            late.extend(ask(&mut inquiries, &[]));
            assert!(begin.elapsed() < Duration::from_secs(10), "{late:?}");
        }
        late.sort_unstable();
        assert_eq!(late, [3, 4, 101]);
        assert!(inquiries.asked.is_empty() && inquiries.stuck(Duration::ZERO).is_empty());
    }

    #[test]
    fn a_crowd_of_questions_without_answers_takes_little_time_and_memory() {
        let lock = Arc::new(Mutex::new(()));
        let held = lock.lock().expect("free");
        let mut inquiries = numbers(&lock);
        let begin = Instant::now();
        for number in 100..10_000 {
            assert!(ask(&mut inquiries, &[number]).is_empty());
        }
        assert!(
            begin.elapsed() < Duration::from_secs(5),
            "{:?}",
            begin.elapsed()
        );
        assert_eq!(inquiries.threads, MOST_THREADS);
        assert_eq!(inquiries.asked.len(), MOST_THREADS);
        drop(held);
        // They go on as soon as they can.
        let begin = Instant::now();
        while !ask(&mut inquiries, &[1]).contains(&2) {
            assert!(begin.elapsed() < Duration::from_secs(10));
        }
    }
}
