//! The state of a walk: its position in the bio, and what it has seen there.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use iotop_common::{BIO_PROGRAMS, Control, layout::BVEC_BYTES, tag::Slot};

use crate::{
    kernel::{clock::now, layout::layout, memory::Words, verifier::clear},
    model::{
        bio::Bio, charge::Charge, epoch::CpuEpoch, known_inode::KnownInode, metadata::FIRST,
        submitter::Submitter,
    },
};

/// The state of the walk over one bio.
#[repr(C)]
pub struct WalkState {
    /// The next bio_vec's address.
    bvec: u64,
    /// The current page.
    pub page: u64,
    /// The inode of the current folio, where the folio is page cache.
    pub known: KnownInode,
    /// The charge and the inode of the last bytes. Consecutive bytes with one owner and
    /// one inode are one fact.
    pub charged: Charge,
    pub charged_file: u32,
    pub charged_ino: u64,
    /// The offset of the next byte in the current page.
    pub offset: u32,
    pub bvec_left: u32,
    bvec_skip: u32,
    pub bio_left: u32,
    /// Pages left of the current folio.
    pub folio_left: u32,
    /// The kind of the current folio's pages, see `model::page_kind`.
    pub kind: u32,
    /// The live tag of the last page; 0 where it had none. Consecutive pages with the
    /// same tag are a run. A run is counted when it ends.
    pub tag: u32,
    /// The tag that replaces it.
    pub submitted: u32,
    /// The number of pages in the run.
    pub run: u32,
    /// 1: several tasks may have dirtied the current folio, and only one is known.
    pub is_shared: u32,
    /// 1: the submitter commits a transaction: pages that carry no data are the log's, and
    /// tags of journalled pages stay live.
    pub commits: u32,
    /// The charge of pages that are not page cache; `UNKNOWN` where each is dealt.
    pub other: Charge,
    /// See [`Bio::bits`], and `FIRST` before the first page that carries no data.
    pub bits: u32,
    /// The charge of the current piece without data, how much of the piece is left, and how
    /// long a piece is. A log's bio may be long, and is dealt in a few pieces.
    pub dealt: Charge,
    pub piece_left: u32,
    pub piece: u32,
    _reserved: u32,
    pub private: u64,
    pub dev: u32,
    pub submitter: Slot,
    pub flush: u32,
    /// 1: the bio may be submitted for a flusher. Its first page-cache page tells.
    pub for_a_flusher: u32,
    /// 0 before the first bytes are charged.
    pub begun: u32,
    pub now: u32,
    /// The user half's requests when the walk began.
    pub control: Control,
}

/// The number of pieces in which a bio without data is dealt.
const PIECES: u32 = 8;

/// The walk of each CPU, for each program that walks. It lies in a map because the
/// verifier forgets what is written there. On the stack, it would follow every value
/// through every page. The kernel never runs a program twice at once on one CPU.
#[map]
static WALK: PerCpuArray<WalkState> = PerCpuArray::with_max_entries(BIO_PROGRAMS - 1, 0);

/// Begins the walk over a write's pages. `mapping` was found to be the page cache's
/// before.
#[inline(always)]
pub fn begin<const ORDER: u32>(
    epoch: &CpuEpoch,
    bio: &Bio,
    submitter: &Submitter,
    mapping: u64,
) -> Option<()> {
    let walk = WalkState::of_this_cpu(ORDER)?;
    let now = now();
    clear(walk);
    walk.bvec = bio.bvec;
    walk.known.mapping = mapping;
    walk.known.wants_file = u32::from(epoch.wants_flushes());
    walk.bvec_skip = bio.bvec_done;
    walk.bio_left = bio.size;
    walk.other = Charge::of_other(bio, submitter);
    walk.dev = bio.dev;
    walk.submitter = submitter.slot;
    walk.flush = submitter.flush(epoch);
    walk.for_a_flusher = u32::from(submitter.may_be_for_a_flusher(epoch));
    walk.now = now.0;
    walk.commits = u32::from(submitter.commits);
    walk.bits = bio.bits(submitter.kthread) | FIRST;
    walk.piece = (bio.size / PIECES).max(1 << layout!(page_shift));
    walk.private = bio.private;
    walk.control = epoch.control();
    Some(())
}

impl WalkState {
    /// This CPU's walk, for one of the programs.
    #[inline(always)]
    pub fn of_this_cpu(order: u32) -> Option<&'static mut WalkState> {
        // SAFETY: this CPU's element, which only this program uses.
        Some(unsafe { &mut *WALK.get_ptr_mut(order)? })
    }

    /// Reads the next bio_vec.
    #[inline(never)]
    pub fn enter_bvec(&mut self) -> Option<()> {
        let bvec = Words::<{ BVEC_BYTES as usize / 8 }>::read(self.bvec)?;
        let len: u32 = bvec.at(layout!(bvec_bv_len));
        let offset = bvec.at::<u32>(layout!(bvec_bv_offset)) + self.bvec_skip;
        self.bvec += u64::from(layout!(bvec_size));
        self.bvec_left = len.saturating_sub(self.bvec_skip).min(self.bio_left);
        self.bvec_skip = 0;
        if self.bvec_left == 0 {
            return None;
        }
        // bv_offset may point past the bio_vec's first page.
        let pages = u64::from(offset >> layout!(page_shift));
        let first: u64 = bvec.at(layout!(bvec_bv_page));
        self.page = first + (pages << layout!(page_struct_shift));
        self.offset = offset & ((1 << layout!(page_shift)) - 1);
        self.folio_left = 0;
        Some(())
    }

    /// Moves on by `bytes` bytes within one folio.
    #[inline(always)]
    pub fn advance(&mut self, bytes: u32) {
        self.bvec_left -= bytes;
        self.bio_left -= bytes;
        let end = self.offset + bytes;
        let pages = end >> layout!(page_shift);
        self.offset = end & ((1 << layout!(page_shift)) - 1);
        self.page += u64::from(pages) << layout!(page_struct_shift);
        self.folio_left -= pages;
    }
}
