//! The journal's files and `votes.log`: what is cut off, what is refused, when segments go.

use super::recording::{RecordingFiles, materialize};
use super::scene::Scene;
use crate::replica::command::JournalRecord;
use crate::storage::files::{DiskFiles, Files};
use crate::storage::journal::JournalError;
use crate::storage::journal_files::{JOURNAL_DIRECTORY, JournalFiles, JournalFilesError};
use crate::storage::votes_file::{VOTES_FILE, VotesFile};
use crate::storage::write_ahead::{WriteAhead, WriteError};
use crate::types::number::Height;
use std::path::Path;
use std::sync::Arc;

/// Segments of this size are never full here.
const WIDE: u64 = 1 << 30;

fn open(
    scene: &Scene,
    root: &Path,
    segment_bytes: u64,
) -> Result<(JournalFiles, Vec<JournalRecord>), JournalFilesError> {
    JournalFiles::open(Arc::new(DiskFiles::new(root)), &scene.chain, segment_bytes)
}

fn segments(root: &Path) -> Vec<String> {
    DiskFiles::new(root).list(JOURNAL_DIRECTORY).unwrap()
}

/// All records of a chain of eight blocks, of which 3 and 6 at the latest close an epoch.
fn scene() -> (Scene, Vec<JournalRecord>) {
    let scene = Scene::random(11, 8);
    let records = (1..=8).flat_map(|height| scene.records(height)).collect();
    (scene, records)
}

#[test]
fn records_come_back_from_as_many_segments_as_it_takes() {
    let (scene, records) = scene();
    let root = tempfile::tempdir().unwrap();
    let (mut journal, found) = open(&scene, root.path(), 2_000).unwrap();
    assert!(found.is_empty());
    for batch in records.chunks(5) {
        batch.iter().for_each(|record| journal.append(record).unwrap());
        journal.sync().unwrap();
    }
    drop(journal);
    assert!(segments(root.path()).len() > 4);
    let (journal, found) = open(&scene, root.path(), 2_000).unwrap();
    assert_eq!(found, records);
    assert_eq!(journal.next_sequence(), records.len() as u64 + 1);
}

#[test]
fn a_tail_torn_at_any_byte_of_the_last_record_is_cut_off_and_written_over() {
    let (scene, records) = scene();
    let root = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(&scene, root.path(), WIDE).unwrap();
    let name = format!("{JOURNAL_DIRECTORY}/{}", segments(root.path())[0]);
    let length = || DiskFiles::new(root.path()).length(&name).unwrap() as usize;
    records[..3].iter().for_each(|record| journal.append(record).unwrap());
    journal.sync().unwrap();
    let synced = length();
    journal.append(&records[3]).unwrap();
    journal.sync().unwrap();
    let bytes = DiskFiles::new(root.path()).read(&name).unwrap();
    assert!(length() > synced);
    for cut in synced..bytes.len() {
        let torn = materialize(&[(name.clone(), Arc::new(bytes[..cut].to_vec()))].into());
        let (mut journal, found) = open(&scene, torn.path(), WIDE).unwrap();
        assert_eq!(found, records[..3], "cut at {cut}");
        journal.append(&records[4]).unwrap();
        journal.sync().unwrap();
        drop(journal);
        let found = open(&scene, torn.path(), WIDE).unwrap().1;
        assert_eq!(found, [&records[..3], &records[4..5]].concat(), "cut at {cut}");
    }
}

#[test]
fn damage_before_the_last_synced_record_is_refused_and_nothing_is_changed() {
    let (scene, records) = scene();
    let root = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(&scene, root.path(), 2_000).unwrap();
    for record in &records {
        journal.append(record).unwrap();
        journal.sync().unwrap();
    }
    drop(journal);
    let first = root.path().join(JOURNAL_DIRECTORY).join(&segments(root.path())[0]);
    let good = std::fs::read(&first).unwrap();
    for at in (0..good.len()).step_by(97) {
        let mut bad = good.clone();
        bad[at] ^= 4;
        std::fs::write(&first, &bad).unwrap();
        let refused = open(&scene, root.path(), 2_000).map(|_| ());
        assert!(
            matches!(refused, Err(JournalFilesError::Journal(JournalError::Damaged { .. }))),
            "byte {at}: {refused:?}"
        );
        assert_eq!(std::fs::read(&first).unwrap(), bad);
    }
}

#[test]
fn a_segment_goes_when_the_store_has_the_block_that_closed_its_epoch() {
    let (scene, _) = scene();
    let root = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(&scene, root.path(), WIDE).unwrap();
    let mut firsts = vec![1];
    for height in 1..=8 {
        scene.records(height).iter().for_each(|record| journal.append(record).unwrap());
        if scene.closes(height) {
            firsts.push(journal.next_sequence());
        }
        journal.sync().unwrap();
    }
    let closings: Vec<u64> = (1..=8).filter(|height| scene.closes(*height)).collect();
    assert!(closings.len() >= 2, "{closings:?}");
    drop(journal);
    let (mut journal, _) = open(&scene, root.path(), WIDE).unwrap();
    for (position, closing) in closings.iter().enumerate() {
        assert_eq!(journal.retire(Height::new(closing - 1)).unwrap(), 0, "block {closing} is not in the store");
        let last_stays = position + 1 == closings.len() && *closing == 8;
        assert_eq!(journal.retire(Height::new(*closing)).unwrap(), usize::from(!last_stays));
        assert_eq!(journal.first_sequence(), firsts[position + usize::from(!last_stays)]);
    }
    let (first, next) = (journal.first_sequence(), journal.next_sequence());
    drop(journal);
    let (journal, found) = open(&scene, root.path(), WIDE).unwrap();
    assert_eq!((journal.first_sequence(), journal.next_sequence()), (first, next), "it does not lose count");
    assert_eq!(found.len() as u64, next - first);
}

fn write_ahead(scene: &Scene, files: &Arc<RecordingFiles<()>>) -> (WriteAhead, Vec<JournalRecord>, Option<Vec<u8>>) {
    let (journal, records) = JournalFiles::open(files.clone(), &scene.chain, 2_000).unwrap();
    let (votes, bytes) = VotesFile::open(files.clone()).unwrap();
    (WriteAhead::new(journal, votes), records, bytes)
}

#[test]
fn a_full_disk_stops_the_writing_and_takes_nothing_back() {
    let (scene, records) = scene();
    // Whatever fits of the second batch, wherever in journal or votes.log the disk fills up.
    for space in (0..6_000).step_by(150) {
        let root = tempfile::tempdir().unwrap();
        let files = RecordingFiles::new(root.path(), ());
        files.stop_recording();
        let (mut log, ..) = write_ahead(&scene, &files);
        let write = |log: &mut WriteAhead, records: &[JournalRecord], votes: &[u8]| -> Result<(), WriteError> {
            records.iter().try_for_each(|record| log.append(record))?;
            log.append_votes(votes);
            log.sync()
        };
        write(&mut log, &records[..4], &[1; 300]).unwrap();
        files.limit_space(Some(space));
        let failed = records[4..]
            .chunks(3)
            .try_fold(4, |done, batch| write(&mut log, batch, &[2; 400]).map(|()| done + batch.len()));
        assert!(failed.unwrap_err().is_full(), "{space} bytes");
        files.limit_space(None);
        assert!(matches!(write(&mut log, &records[..1], &[3; 10]), Err(WriteError::Failed)));
        drop(log);
        let (mut log, found, votes) = write_ahead(&scene, &files);
        assert!(found.len() >= 4 && records.starts_with(&found), "{space} bytes");
        assert!(votes.unwrap().starts_with(&[1; 300]));
        write(&mut log, &records[found.len()..], &[]).unwrap();
        drop(log);
        assert_eq!(write_ahead(&scene, &files).1, records);
    }
}

#[test]
fn after_a_failed_sync_nothing_is_written_again() {
    let (scene, records) = scene();
    let root = tempfile::tempdir().unwrap();
    let files = RecordingFiles::new(root.path(), ());
    let (mut log, ..) = write_ahead(&scene, &files);
    log.append(&records[0]).unwrap();
    files.fail_syncs(true);
    assert!(log.sync().is_err());
    files.fail_syncs(false);
    assert!(matches!(log.sync(), Err(WriteError::Failed)));
    assert!(matches!(log.append(&records[1]), Err(WriteError::Failed)));
}

#[test]
fn votes_reach_their_file_behind_the_journal_and_are_forgotten_behind_it() {
    let (scene, records) = scene();
    let root = tempfile::tempdir().unwrap();
    let files = RecordingFiles::new(root.path(), ());
    let (mut log, ..) = write_ahead(&scene, &files);
    log.append(&records[0]).unwrap();
    log.append_votes(b"first");
    log.sync().unwrap();
    log.append(&records[1]).unwrap();
    log.append_votes(b" second");
    log.replace_votes(b"anew".to_vec());
    log.append_votes(b" and more");
    files.fail_syncs(true);
    assert!(log.sync().is_err(), "the journal could not be synced");
    assert_eq!(files.read(VOTES_FILE).unwrap(), b"first");
    files.fail_syncs(false);
    let (mut log, ..) = write_ahead(&scene, &files);
    log.replace_votes(b"anew".to_vec());
    log.append_votes(b" and more");
    log.sync().unwrap();
    log.append_votes(b", later");
    log.sync().unwrap();
    assert_eq!(files.read(VOTES_FILE).unwrap(), b"anew and more, later");
}
