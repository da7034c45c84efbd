-- Explanations that cannot be trusted, a row for each: the removed part alone is still classified as the target, the
-- kept part alone is not, or the written audio is classified otherwise than the masked spectrogram.
--
-- To run it by itself in DuckDB, next to a run's folder:
--     CREATE VIEW faithfulness AS SELECT * FROM 'explained/faithfulness/*.parquet';
--     .read unfaithful.sql
--
-- clip_id, window_id, target   the explanation
-- rest_suffices                p - p_out is less than a tenth of p: without the kept part the call stays
-- kept_fails                   p_in is less than half of p: the kept part alone does not give the call
-- written_differs              p of the written audio is more than 0.3 from that of the spectrogram; false where it was
--                              not classified again
-- score                        how much is lost, 0 to 1: the largest of the three
-- recordings                   how many recordings are explained for the target
WITH bounds AS (
    SELECT
        0.2 AS sure,               -- p of what is explained: less is no decision
        0.1 AS faithfulness,
        0.5 AS kept,
        0.3 AS written
),
explained AS (
    SELECT
        clip_id, window_id, target,
        p - p_out < b.faithfulness * p AS rest_suffices,
        p_in < b.kept * p AS kept_fails,
        coalesce(greatest(abs(p_in_audio - p_in), abs(p_out_audio - p_out)) > b.written, false) AS written_differs,
        least(greatest(
            CASE WHEN p - p_out < b.faithfulness * p THEN 1 - greatest(p - p_out, 0) / p ELSE 0 END,
            CASE WHEN p_in < b.kept * p THEN 1 - p_in / p ELSE 0 END,
            coalesce(abs(p_in_audio - p_in), 0), coalesce(abs(p_out_audio - p_out), 0)
        ), 1) AS score,
        count(DISTINCT clip_id) OVER (PARTITION BY target) AS recordings
    FROM faithfulness, bounds b
    WHERE p >= b.sure
)
SELECT * FROM explained
WHERE rest_suffices OR kept_fails OR written_differs
ORDER BY target, score DESC, window_id
